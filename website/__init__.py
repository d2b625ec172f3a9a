"""What is made from the documentation: the executed companion notebook, and the site."""
