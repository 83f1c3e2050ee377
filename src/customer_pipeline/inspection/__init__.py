"""`customer-pipeline inspect`: what is found out about a file that nobody knows, in words and as JSON."""
