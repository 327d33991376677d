"""From any dialect to any other: each dialect is read into, and written from, one typed middle form."""
