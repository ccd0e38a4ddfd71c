"""`labels`: embedding tables with a class column to judged classes."""
