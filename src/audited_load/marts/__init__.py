"""The marts: found, built to fit together, published, taken back."""
