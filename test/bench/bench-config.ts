// Configuration texts of nginx and haproxy in the benchmark, each on one core and as plain as it goes.
import { BENCH_HOST, type BenchCertificates } from './bench-certificates.ts';

/** A port that speaks mTLS. */
export interface SecurePort {
  readonly port: number;
  readonly certificates: BenchCertificates;
}

/** The upstream: fixed answers from memory and the page cache, in plaintext and on a second port over mTLS. */
export function upstreamConfig(folder: string, port: number, secure: SecurePort): string {
  const { certificates } = secure;
  return `${nginxHead(folder)}
http {
${nginxFolders(folder)}
  access_log off;
  sendfile on;
  tcp_nopush on;
  open_file_cache max=16;
  keepalive_requests 1000000000;
  client_body_buffer_size 64k;
  default_type application/octet-stream;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    listen 127.0.0.1:${secure.port} ssl backlog=4096;
    ssl_certificate ${certificates.certificate};
    ssl_certificate_key ${certificates.key};
    ssl_client_certificate ${certificates.authority};
    ssl_verify_client on;
    root ${folder}/files;
    location = /post { return 200; }
    location = /16k { }
    location = /1m { }
    location / { return 200 "${'x'.repeat(100)}"; }
  }
}
`;
}

/** wrk has no client certificate: this nginx, on the client's core, has one, and speaks mTLS to the proxy. */
export function frontConfig(folder: string, port: number, secure: SecurePort): string {
  const { certificates } = secure;
  return `${nginxHead(folder)}
http {
${nginxFolders(folder)}
  access_log off;
  keepalive_requests 1000000000;
  upstream proxy { server 127.0.0.1:${secure.port}; keepalive 256; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass https://proxy;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_ssl_certificate ${certificates.certificate};
      proxy_ssl_certificate_key ${certificates.key};
      proxy_ssl_trusted_certificate ${certificates.authority};
      proxy_ssl_verify on;
      proxy_ssl_name ${BENCH_HOST};
      proxy_ssl_server_name on;
      proxy_ssl_protocols TLSv1.2 TLSv1.3;
    }
  }
}
`;
}

export function nginxConfig(folder: string, port: number, upstreamPort: number): string {
  return `${nginxHead(folder)}
http {
${nginxFolders(folder)}
  access_log off;
  keepalive_requests 1000000000;
  client_body_buffer_size 64k;
  upstream up { server 127.0.0.1:${upstreamPort}; keepalive 256; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://up;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_max_temp_file_size 0;
    }
  }
}
`;
}

export function haproxyConfig(port: number, upstreamPort: number): string {
  return `global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend bench
  bind 127.0.0.1:${port}
  default_backend up
backend up
  server up 127.0.0.1:${upstreamPort}
`;
}

function nginxHead(folder: string): string {
  return `daemon off;
worker_processes 1;
error_log ${folder}/error.log;
pid ${folder}/pid;
events { worker_connections 4096; }`;
}

function nginxFolders(folder: string): string {
  return ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `  ${name}_temp_path ${folder}/${name};`)
    .join('\n');
}
