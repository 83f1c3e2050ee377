"""What each tab of the page shows, from the warehouse."""
