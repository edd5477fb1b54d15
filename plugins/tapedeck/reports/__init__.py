"""The quality of a vendor's day as a page that a desk reads, and as JSON: built, judged, written."""
