"""The load history page: a CloudWatch custom widget, a file, and a page on a laptop, all drawn by the same code."""
