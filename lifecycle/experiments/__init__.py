"""What brings customers, and what a change of it would bring: attribution of orders to touches."""
