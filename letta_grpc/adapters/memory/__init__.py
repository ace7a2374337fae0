"""All stores in memory: nothing outlives the process. For tests, demos and as the reference of what the ports promise."""
