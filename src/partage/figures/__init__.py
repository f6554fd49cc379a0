"""From records to pictures and tables. Nothing here trains, and no torch is imported on this side."""
