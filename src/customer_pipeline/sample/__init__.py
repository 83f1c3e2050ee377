"""A seed → a dirty file of customer transactions, and the truth that an ideal cleaner must find in it."""
