"""Other programs that seal PDFs, given the same token and the same kind of work."""
