#!/usr/bin/env node
// usage: TOKEN=secret receiver.js SCRIPT [ADDRESS:PORT]      runs SCRIPT RESOURCE DIGEST for each push, once
const http = require('http'), fs = require('fs'), path = require('path'), { execFile } = require('child_process');
const seen = process.env.SEEN || './seen';
fs.mkdirSync(seen, { recursive: true });
http.createServer((request, response) => {
  const parts = [], answer = (status) => response.writeHead(status, { 'Content-Length': 0 }).end();
  request.on('data', (part) => parts.push(part)).on('end', () => {
    if (request.headers.authorization !== `Bearer ${process.env.TOKEN}`) return answer(401);
    const body = Buffer.concat(parts), event = JSON.parse(body);
    const done = path.join(seen, path.basename(request.headers['webhook-id']));
    if (event.type !== 'PUSH_ARTIFACT' || fs.existsSync(done)) return answer(200);
    const pushed = event.event_data.resources[0];
    const script = execFile(process.argv[2], [pushed.resource_url, pushed.digest], (error) => {
      if (error) return answer(500); // Harbinger sends it again
      fs.writeFileSync(done, '');
      answer(200);
    });
    script.stdin.on('error', () => {}); // a script need not read
    script.stdin.end(body);
  });
}).listen(...(process.argv[3] || '127.0.0.1:9090').split(':').reverse(), function () {
  console.log('ready', this.address().port);
});
