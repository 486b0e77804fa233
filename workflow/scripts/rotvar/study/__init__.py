"""What the workflow's rules and scripts need of a study: its configuration, its jobs and what they take."""
