"""What an operator does now and then: back up, restore, clear away what is old."""
