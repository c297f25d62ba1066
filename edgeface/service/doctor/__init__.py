"""What `edgeface doctor` looks at: functions from a machine and its configuration to a finding."""
