"""Anaplan's side: the HTTP exchange, its errors, log-ins and tokens, and CloudWorks."""
