"""Tests of jobs/sensitivity."""
