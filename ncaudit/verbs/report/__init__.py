"""`report`: one page on a scored dataset, to look at and to judge."""
