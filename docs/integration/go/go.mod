module blackbox/sidecar

go 1.19
