"""Everything that talks to Anaplan: the HTTP exchange, its errors, log-ins and tokens, and CloudWorks."""
