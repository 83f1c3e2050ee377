"""One person → gone: from what is cleaned, from raw texts, files and tables; and the register of who was."""
