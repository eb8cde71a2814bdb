package notice

import (
	"errors"
	"net/netip"
	"slices"
	"syscall"
)

var (
	errNear  = errors.New("its address is of this machine or of a private network, which webhook-private allows")
	errLocal = errors.New("its address is one that no receiver has")
)

// guard refuses, before a connection is made and whatever a name resolved to, addresses that a directory's author
// should not reach from here: this machine and the private networks around it, unless they are allowed, and never
// those where clouds keep the secrets of their machines.
func guard(private bool) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return errLocal
		}
		return admit(at.Addr(), private)
	}
}

func admit(address netip.Addr, private bool) error {
	address = plain(address)
	switch {
	case !address.IsValid(), address.IsUnspecified(), address.IsMulticast(), address.IsLinkLocalUnicast(),
		within(address, "0.0.0.0/8", "240.0.0.0/4", "100.100.100.200/32", "192.0.0.192/32", "fd00:ec2::/32"):
		return errLocal
	case private:
		return nil
	case address.IsLoopback(), address.IsPrivate(),
		within(address, "100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15", "fec0::/10"):
		return errNear
	}
	return nil
}

// plain is the address that a packet goes to in the end: some of IPv6 only wrap one of IPv4.
func plain(address netip.Addr) netip.Addr {
	address = address.Unmap().WithZone("")
	raw := address.As16()
	switch {
	case within(address, "64:ff9b::/96", "::/96") && raw != netip.IPv6Loopback().As16():
		return netip.AddrFrom4([4]byte(raw[12:]))
	case within(address, "2002::/16"):
		return netip.AddrFrom4([4]byte(raw[2:6]))
	}
	return address
}

func within(address netip.Addr, networks ...string) bool {
	return slices.ContainsFunc(networks, func(network string) bool {
		return netip.MustParsePrefix(network).Contains(address)
	})
}
