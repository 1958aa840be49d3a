// Sends every datagram back: `udp_echo PORT`. A static program for containers that have none.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdlib>

int main(int argc, char** argv) {
  const int socket = ::socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(std::atoi(argc > 1 ? argv[1] : "0")));
  if (bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return 1;
  for (;;) {
    char data[2048];
    sockaddr_in peer = {};
    socklen_t length = sizeof peer;
    const ssize_t count =
        recvfrom(socket, data, sizeof data, 0, reinterpret_cast<sockaddr*>(&peer), &length);
    if (count < 0) return 1;
    sendto(socket, data, static_cast<size_t>(count), 0, reinterpret_cast<sockaddr*>(&peer), length);
  }
}
