"""What pages are made of: HTML that needs no network, and charts as SVG of plain numbers."""
