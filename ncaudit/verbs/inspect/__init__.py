"""`inspect`: what is this, and what to do with it next."""
