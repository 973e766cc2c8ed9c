"""Models that run in this process: engines, the trial between them, the lane that all callers share."""
