"""What `pilotmesh doctor` looks at: failures that show nowhere else, each with its remedy. It mends nothing."""
