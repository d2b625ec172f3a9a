"""What a run would find and cost."""
