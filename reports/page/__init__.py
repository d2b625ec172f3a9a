"""Sections to a page and a PDF."""
