"""Bytes of a file of unknown make → blocks of whole records: compression, encoding, dialect, header, records."""
