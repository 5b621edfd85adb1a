# An NFS client. The rig mounts /n. Sourced by init.
rpcbind -w
rpc.statd --no-notify
