"""`report`: score or label tables to one page that shows the pairs. Options in, one result out."""
