"""What the console shows, without a browser."""
