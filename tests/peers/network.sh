# Hosts on a bridge: the caller (.11), the proxy (.12), the called party (.13) and a B2BUA (.14). The machine itself listens on br0.
set -eu
ip link add br0 type bridge mcast_snooping 0
for host in caller:11 proxy:12 called:13 b2bua:14; do
    name=${host%:*} address=10.77.0.${host#*:}
    ip netns add "$name"
    ip -n "$name" link set lo up
    ip link add "to-$name" type veth peer name eth0 netns "$name"
    ip link set "to-$name" master br0 up
    ip -n "$name" addr add "$address/24" dev eth0
    ip -n "$name" link set eth0 up
done
# A bridge shows what it only forwards while it is promiscuous.
ip link set br0 promisc on up
for address in 11 12 13 14; do
    ip netns exec proxy ping -qc1 -W5 "10.77.0.$address" >/dev/null
done
