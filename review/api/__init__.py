"""REST of review: the queue and its pictures, the shift, the expert's desk, the floor."""
