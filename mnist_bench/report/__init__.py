"""What a sweep showed: its findings as plain data, and the report, one HTML file."""
