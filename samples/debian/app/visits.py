"""Counts visits in a table and says the number."""
import http.server
import os

import psycopg2

import words


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with psycopg2.connect(os.environ["DATABASE"]) as connection:
            with connection.cursor() as cursor:
                cursor.execute("CREATE TABLE IF NOT EXISTS visits (at timestamptz DEFAULT now())")
                cursor.execute("INSERT INTO visits DEFAULT VALUES")
                cursor.execute("SELECT count(*) FROM visits")
                count = cursor.fetchone()[0]
        body = words.answer(count).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *arguments):
        pass


http.server.ThreadingHTTPServer(("", 8000), Handler).serve_forever()
