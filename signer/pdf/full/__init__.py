"""The writer for documents that the lean writer does not understand to the last byte: pyHanko and pikepdf, in a sandbox."""
