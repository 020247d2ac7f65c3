"""The contract: what every component shares, whoever calls it.

declaration  what a component is          artifact  a folder with a manifest
run          one step from start to end   location  a path or an s3:// prefix
command      its command line             store/    the S3 side of location
kubeflow     Kubeflow's executor files    errors    exit codes
"""
