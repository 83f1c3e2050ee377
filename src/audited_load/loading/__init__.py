"""Write, audit, publish: the cleaned file → what readers see, and back."""
