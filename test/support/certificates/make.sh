#!/usr/bin/env bash
# Makes the certificates of this folder anew: test only, known to everybody, valid for a hundred years (two are expired).
set -euo pipefail
cd "$(dirname "$0")"
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key" 2>/dev/null; }
authority() {
  key "$1"
  openssl req -x509 -key "$1.key" -out "$1.pem" -days 36500 -subj "/O=test only/CN=$1" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
}
# NAME AUTHORITY NAMES [NOT-AFTER]
leaf() {
  key "$1"
  openssl req -new -key "$1.key" -out "$1.csr" -subj "/O=test only/CN=$1"
  rm -rf .ca && mkdir .ca && touch .ca/index
  printf '[ca]\ndefault_ca=c\n[c]\ndatabase=.ca/index\nnew_certs_dir=.ca\nrand_serial=yes\ndefault_md=sha256\npolicy=p\nunique_subject=no\n[p]\norganizationName=optional\ncommonName=optional\n[x]\nsubjectAltName=%s\nbasicConstraints=CA:FALSE\n' "$3" > .ca/config
  openssl ca -batch -notext -config .ca/config -extensions x -cert "$2.pem" -keyfile "$2.key" -in "$1.csr" -out "$1.pem" \
    -startdate 20200101000000Z -enddate "${4:-21200101000000Z}" 2>/dev/null
  rm -rf .ca "$1.csr"
}
authority authority
authority stranger-authority
leaf server authority 'DNS:server.test,DNS:*.wild.test,IP:127.0.0.1,IP:2001:db8::1,URI:spiffe://cluster.local/ns/a/sa/server'
leaf second authority 'DNS:second.test'
leaf renewed authority 'DNS:server.test'
leaf client authority 'URI:spiffe://cluster.local/ns/a/sa/client,email:client@a.test'
leaf expired authority 'URI:spiffe://cluster.local/ns/a/sa/client' 20210101000000Z
leaf stranger stranger-authority 'URI:spiffe://cluster.local/ns/a/sa/client'
leaf expired-stranger stranger-authority 'URI:spiffe://cluster.local/ns/a/sa/client' 20210101000000Z
rm -f authority.key stranger-authority.key
