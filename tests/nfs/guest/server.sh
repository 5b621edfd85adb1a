# The NFS server: exports /srv/x, /srv/async and /srv/readonly of its disk. Sourced by init.
# The disk keeps what the server must know after a restart: which clients may reclaim their locks.
mount -t ext4 /dev/vda /srv || echo "cannot mount the disk"
mkdir -p /srv/x /srv/async /srv/readonly /srv/.nfsdcld
chmod 777 /srv/x /srv/async /srv/readonly
options=no_root_squash,no_subtree_check,insecure
cat >/etc/exports <<END
/srv/x *(rw,sync,$options,fsid=77)
/srv/async *(rw,async,$options,fsid=78)
/srv/readonly *(ro,sync,$options,fsid=79)
END
mount -t nfsd nfsd /proc/fs/nfsd
echo "$lease" >/proc/fs/nfsd/nfsv4leasetime
echo "$grace" >/proc/fs/nfsd/nfsv4gracetime
# lockd's grace period keeps clients of NFSv4 waiting as well, 50 s by default.
echo 5 >/proc/sys/fs/nfs/nlm_timeout
echo "$grace" >/proc/sys/fs/nfs/nlm_grace_period
rpcbind -w
nfsdcld -s /srv/.nfsdcld
rpc.mountd
exportfs -ra
rpc.statd --no-notify
rpc.nfsd 8
