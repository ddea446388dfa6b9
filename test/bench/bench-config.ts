// Configuration texts of nginx and haproxy in the benchmark, each on one core and as plain as it goes.

/** The upstream: fixed answers from memory and the page cache. */
export function upstreamConfig(folder: string, port: number): string {
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
    root ${folder}/files;
    location = /post { return 200; }
    location = /16k { }
    location = /1m { }
    location / { return 200 "${'x'.repeat(100)}"; }
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
