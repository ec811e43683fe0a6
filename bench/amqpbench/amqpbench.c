// amqpbench - a lean AMQP 0-9-1 load generator (one thread, epoll, pre-encoded frames).
// Written from the protocol specification; uses no AMQP library.  See README.md.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

typedef uint8_t u8; typedef uint16_t u16; typedef uint32_t u32; typedef uint64_t u64;

// ---------------------------------------------------------------- helpers
static void die(int rc, const char *fmt, ...) {
  va_list ap; va_start(ap, fmt); fputs("amqpbench: ", stderr); vfprintf(stderr, fmt, ap); fputc('\n', stderr); va_end(ap);
  exit(rc);
}
static void *xmalloc(size_t n) { void *p = malloc(n ? n : 1); if (!p) die(1, "out of memory"); return p; }
static void *xcalloc(size_t n, size_t m) { void *p = calloc(n ? n : 1, m ? m : 1); if (!p) die(1, "out of memory"); return p; }
static void *xrealloc(void *o, size_t n) { void *p = realloc(o, n ? n : 1); if (!p) die(1, "out of memory"); return p; }
static inline u64 now_ns(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return (u64)t.tv_sec * 1000000000ull + t.tv_nsec; }
static inline u16 g16(const u8 *p) { u16 v; memcpy(&v, p, 2); return __builtin_bswap16(v); }
static inline u32 g32(const u8 *p) { u32 v; memcpy(&v, p, 4); return __builtin_bswap32(v); }
static inline u64 g64(const u8 *p) { u64 v; memcpy(&v, p, 8); return __builtin_bswap64(v); }
static inline void s16(u8 *p, u16 v) { v = __builtin_bswap16(v); memcpy(p, &v, 2); }
static inline void s32(u8 *p, u32 v) { v = __builtin_bswap32(v); memcpy(p, &v, 4); }
static inline void s64(u8 *p, u64 v) { v = __builtin_bswap64(v); memcpy(p, &v, 8); }

typedef struct { u8 *p; size_t len, cap; } buf;
static void breserve(buf *b, size_t n) { if (b->len + n > b->cap) { size_t c = b->cap ? b->cap * 2 : 256; while (c < b->len + n) c *= 2; b->p = xrealloc(b->p, c); b->cap = c; } }
static void b8(buf *b, u8 v) { breserve(b, 1); b->p[b->len++] = v; }
static void b16(buf *b, u16 v) { breserve(b, 2); s16(b->p + b->len, v); b->len += 2; }
static void b32(buf *b, u32 v) { breserve(b, 4); s32(b->p + b->len, v); b->len += 4; }
static void b64(buf *b, u64 v) { breserve(b, 8); s64(b->p + b->len, v); b->len += 8; }
static void bmem(buf *b, const void *p, size_t n) { breserve(b, n); memcpy(b->p + b->len, p, n); b->len += n; }
static void bss(buf *b, const char *s) { size_t n = strlen(s); if (n > 255) die(1, "short string too long"); b8(b, n); bmem(b, s, n); }
static void bls(buf *b, const char *s, size_t n) { b32(b, n); bmem(b, s, n); }
static size_t bmethod(buf *b, u16 ch, u16 cls, u16 m) { size_t at = b->len; b8(b, 1); b16(b, ch); b32(b, 0); b16(b, cls); b16(b, m); return at; }
static void bend(buf *b, size_t at) { s32(b->p + at + 3, b->len - at - 7); b8(b, 0xCE); }
static size_t btable(buf *b) { size_t at = b->len; b32(b, 0); return at; }
static void btend(buf *b, size_t at) { s32(b->p + at, b->len - at - 4); }
static void bkey_str(buf *b, const char *k, const char *v) { bss(b, k); b8(b, 'S'); bls(b, v, strlen(v)); }
static void bkey_bool(buf *b, const char *k, bool v) { bss(b, k); b8(b, 't'); b8(b, v); }
static void bkey_i64(buf *b, const char *k, int64_t v) {
  bss(b, k);
  if (v >= INT32_MIN && v <= INT32_MAX) { b8(b, 'I'); b32(b, (u32)(int32_t)v); } else { b8(b, 'l'); b64(b, (u64)v); }
}

// ---------------------------------------------------------------- histogram (ns, ~1.6 % wide buckets)
#define HB 64
typedef struct { u64 n, max, b[60 * HB]; double sum; } hist;
static inline void hist_add(hist *h, u64 v) {
  u32 i;
  if (v < HB) i = v; else { int e = 63 - __builtin_clzll(v); i = (u32)(e - 5) * HB + (u32)((v >> (e - 6)) & (HB - 1)); }
  if (i >= 60 * HB) i = 60 * HB - 1;
  h->b[i]++; h->n++; h->sum += v; if (v > h->max) h->max = v;
}
static double hist_q(const hist *h, double q) { // microseconds
  if (!h->n) return 0;
  u64 want = (u64)(q * h->n); if (want >= h->n) want = h->n - 1;
  u64 acc = 0;
  for (u32 i = 0; i < 60 * HB; i++) {
    acc += h->b[i];
    if (acc > want) {
      u64 v; if (i < HB) v = i; else { int e = i / HB + 5; v = (1ull << e) + ((u64)(i % HB) << (e - 6)) + ((1ull << (e - 6)) >> 1); }
      if (v > h->max) v = h->max;
      return v / 1000.0;
    }
  }
  return h->max / 1000.0;
}

// ---------------------------------------------------------------- options
typedef struct { char host[128]; char port[16]; struct sockaddr_storage sa; socklen_t salen; } endpoint;
#define MAXEP 32
typedef struct { endpoint e[MAXEP]; int n; } eplist;
static struct {
  int pubs, cons, queues, idle, churn;
  u32 size; bool persistent, durable, autodelete, mandatory;
  int confirm, prefetch, ack_every; bool autoack, global_qos;
  char extype[32], exchange[128], prefix[100], qargs[1024];
  int bindings;
  double rate, duration, warmup, drain_timeout, settle;
  u64 count, preload, drain;
  bool ping, reconnect, keep, purge, progress, no_drain, no_declare, idle_channel, json_only, no_check;
  char host[128], user[128], pass[128], vhost[128];
  eplist pub_ep, con_ep, admin_ep;
  int bpid[64]; int nbpid; u32 frame_max; int heartbeat; int tick_us, par; u16 runid; bool exclusive_fail;
  int key_cycle; int reconnect_ms;
} O;

static void add_ep(eplist *l, const char *spec) {
  char tmp[512]; snprintf(tmp, sizeof tmp, "%s", spec);
  char *save = 0;
  for (char *t = strtok_r(tmp, ",", &save); t; t = strtok_r(0, ",", &save)) {
    if (l->n >= MAXEP) die(1, "too many endpoints");
    endpoint *e = &l->e[l->n++];
    char *c = strrchr(t, ':');
    if (c) { *c = 0; snprintf(e->host, sizeof e->host, "%s", t); snprintf(e->port, sizeof e->port, "%s", c + 1); }
    else if (strspn(t, "0123456789") == strlen(t)) { e->host[0] = 0; snprintf(e->port, sizeof e->port, "%s", t); }
    else { snprintf(e->host, sizeof e->host, "%s", t); snprintf(e->port, sizeof e->port, "5672"); }
  }
}
static void resolve(eplist *l) {
  for (int i = 0; i < l->n; i++) {
    endpoint *e = &l->e[i]; struct addrinfo h = {.ai_socktype = SOCK_STREAM}, *r = 0;
    if (!e->host[0]) snprintf(e->host, sizeof e->host, "%s", O.host);
    int rc = getaddrinfo(e->host, e->port, &h, &r);
    if (rc || !r) die(1, "cannot resolve %s:%s: %s", e->host, e->port, gai_strerror(rc));
    memcpy(&e->sa, r->ai_addr, r->ai_addrlen); e->salen = r->ai_addrlen; freeaddrinfo(r);
  }
}
static void unpct(char *s) { char *o = s; for (; *s; s++) { if (*s == '%' && s[1] && s[2]) { char h[3] = {s[1], s[2], 0}; *o++ = (char)strtol(h, 0, 16); s += 2; } else *o++ = *s; } *o = 0; }
static void parse_uri(const char *u) {
  char t[512]; snprintf(t, sizeof t, "%s", u); char *p = t; // credentials longer than 127 bytes are cut
  if (!strncmp(p, "amqp://", 7)) p += 7;
  char *sl = strchr(p, '/');
  if (sl) { *sl = 0; snprintf(O.vhost, sizeof O.vhost, "%s", sl + 1); char *q = strchr(O.vhost, '?'); if (q) *q = 0; unpct(O.vhost); }
  char *at = strrchr(p, '@');
  if (at) { *at = 0; char *c = strchr(p, ':'); if (c) { *c = 0; snprintf(O.pass, sizeof O.pass, "%s", c + 1); unpct(O.pass); } snprintf(O.user, sizeof O.user, "%s", p); unpct(O.user); p = at + 1; }
  if (*p) { add_ep(&O.pub_ep, p); add_ep(&O.con_ep, p); }
}

// ---------------------------------------------------------------- state
enum { R_ADMIN, R_PUB, R_CON, R_IDLE, R_CHURN };
enum { S_DEAD, S_CONNECTING, S_START, S_TUNE, S_OPEN, S_CHOPEN, S_SCRIPT, S_READY, S_CLOSING };
typedef struct { u8 *p; u32 len; u16 cls, m; } step; // a synchronous request and the reply it waits for
typedef struct { int q; u32 *last; bool *has; } sub;
typedef struct conn {
  int fd, role, idx, state, epn; bool want_out;
  u8 *left; size_t left_len, left_cap;
  u8 *w; size_t wpos, wlen, wcap;
  step *script; int nsteps, at; bool owns_script;
  u32 frame_max; u16 hb; u64 last_sent, t_open, retry_at;
  bool blocked, flow_off; u64 blocked_since;
  // incoming content
  int content; u64 body_size, body_got, dtag; bool redel; int subno; u8 head[16];
  // publisher
  u64 next_tag, acked_upto; u32 outstanding; // confirms
  bool ping_wait, synced, sync_sent, pump;
  u64 sent; u64 rate_t0; u64 max_send; double rate_sent0;
  // consumer
  u32 unacked; u64 last_tag; u64 seen_at_tick; u64 got;
  sub *subs; int nsubs;
  eplist *eps;
} conn;

typedef struct { u8 *p; u32 len; u32 body_at; } tmpl;       // body_at: offset of the first 16 body bytes
typedef struct { int q; u32 seq; tmpl *t; u32 nt, ti; u8 *conf; u32 confcap; } route;
typedef struct { u64 ts; u32 seq; u16 route; u8 state; } pend; // state: 0 free, 1 outstanding
typedef struct { route *r; int nr, ri; pend *ring; u32 rmask; } pubinfo;
typedef struct { u8 *bits; u32 cap; u64 got, dup; } track;

static int ep; static u8 *rbuf; static const size_t RBUF = 1 << 20;
static conn *C; static int NC; static conn *admin;
static pubinfo *P; static track **T; // T[pub * queues + q]
static conn **pubc, **conc;
static volatile sig_atomic_t interrupted;

static struct { u64 published, confirmed, nacked, returned, consumed, foreign, dup, dup_redel, reordered, redelivered, churned, reconnects, cancels, bytes_in, bytes_out, unconfirmed_dropped, blocked_ns, flow_events; } K;
static hist H_lat, H_conf, H_churn;
static bool measuring, publishing, closing_down; static u64 last_deliver, last_confirm, gap_deliver, gap_confirm, gap_deliver_at, gap_confirm_at, t_begin;
static int ready_count; static u64 connect_errors;

static char *qname(int q) { static char b[4][160]; static int i; i = (i + 1) & 3; snprintf(b[i], 160, "%s%d", O.prefix, q); return b[i]; }

// ---------------------------------------------------------------- socket output
static void ep_mod(conn *c, bool out) { if (c->want_out == out) return; c->want_out = out; struct epoll_event e = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = c}; epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e); }
static u8 *wroom(conn *c, size_t n) {
  if (c->wlen + n > c->wcap) {
    if (c->wpos) { memmove(c->w, c->w + c->wpos, c->wlen - c->wpos); c->wlen -= c->wpos; c->wpos = 0; }
    if (c->wlen + n > c->wcap) { size_t k = c->wcap ? c->wcap : 512; while (k < c->wlen + n) k *= 2; c->w = xrealloc(c->w, k); c->wcap = k; }
  }
  return c->w + c->wlen;
}
static void wput(conn *c, const void *p, size_t n) { memcpy(wroom(c, n), p, n); c->wlen += n; }
static void conn_lost(conn *c, const char *why);
static bool flush_conn(conn *c) { // true: all written
  if (c->fd < 0) return false;
  while (c->wpos < c->wlen) {
    ssize_t n = send(c->fd, c->w + c->wpos, c->wlen - c->wpos, MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) { ep_mod(c, true); return false; }
      conn_lost(c, strerror(errno)); return false;
    }
    c->wpos += n; K.bytes_out += n;
  }
  c->wpos = c->wlen = 0; ep_mod(c, false);
  return true;
}

// ---------------------------------------------------------------- connection life
static void start_connect(conn *c) {
  endpoint *e = &c->eps->e[c->epn % c->eps->n];
  c->fd = socket(e->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (c->fd < 0) die(1, "socket: %s", strerror(errno));
  int one = 1; setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  c->state = S_CONNECTING; c->want_out = true; c->t_open = now_ns();
  c->left_len = 0; c->wpos = c->wlen = 0; c->content = 0; c->at = 0; c->blocked = c->flow_off = false; c->unacked = 0; c->outstanding = 0; c->next_tag = 0; c->acked_upto = 0; c->ping_wait = false;
  int rc = connect(c->fd, (struct sockaddr *)&e->sa, e->salen);
  struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c}; epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev);
  if (rc < 0 && errno != EINPROGRESS) conn_lost(c, strerror(errno));
}
static void drop_fd(conn *c) { if (c->fd >= 0) { close(c->fd); c->fd = -1; } }
static void conn_lost(conn *c, const char *why) {
  endpoint *e = &c->eps->e[c->epn % c->eps->n];
  int was = c->state;
  drop_fd(c); c->state = S_DEAD;
  if (c->role == R_PUB && P) { pubinfo *pi = &P[c->idx]; if (pi->ring) for (u32 i = 0; i <= pi->rmask; i++) if (pi->ring[i].state) { pi->ring[i].state = 0; K.unconfirmed_dropped++; } }
  if (was == S_CLOSING || closing_down) return;
  if (was == S_READY) ready_count--;
  if (c->role == R_ADMIN && was == S_READY) { c->epn++; return; } // not needed again before the clean-up
  if (!O.reconnect || c->role == R_ADMIN) die(2, "connection to %s:%s lost in state %d: %s", e->host, e->port, was, why);
  if (was == S_READY) K.reconnects++; else connect_errors++;
  c->epn++; c->retry_at = now_ns() + (u64)O.reconnect_ms * 1000000ull;
}
static void send_close(conn *c) { buf b = {0}; size_t a = bmethod(&b, 0, 10, 50); b16(&b, 200); bss(&b, "bye"); b16(&b, 0); b16(&b, 0); bend(&b, a); wput(c, b.p, b.len); free(b.p); c->state = S_CLOSING; flush_conn(c); }
static void next_step(conn *c) {
  if (c->at < c->nsteps) { wput(c, c->script[c->at].p, c->script[c->at].len); c->state = S_SCRIPT; }
  else { c->state = S_READY; ready_count++; if (c->role == R_CHURN) { ready_count--; send_close(c); } if (c->role == R_PUB) { c->pump = true; c->rate_t0 = 0; } }
}
static void add_step(conn *c, buf *b, u16 cls, u16 m) { c->script = xrealloc(c->script, sizeof(step) * (c->nsteps + 1)); c->script[c->nsteps++] = (step){b->p, (u32)b->len, cls, m}; *b = (buf){0}; }

static void send_start_ok(conn *c) {
  buf b = {0}; size_t a = bmethod(&b, 0, 10, 11), t = btable(&b);
  bkey_str(&b, "product", "amqpbench"); bkey_str(&b, "platform", "C"); bss(&b, "capabilities"); b8(&b, 'F');
  size_t t2 = btable(&b); bkey_bool(&b, "publisher_confirms", 1); bkey_bool(&b, "consumer_cancel_notify", 1); bkey_bool(&b, "basic.nack", 1); bkey_bool(&b, "connection.blocked", 1); bkey_bool(&b, "authentication_failure_close", 1); btend(&b, t2);
  btend(&b, t); bss(&b, "PLAIN");
  char r[300]; size_t ul = strlen(O.user), pl = strlen(O.pass); r[0] = 0; memcpy(r + 1, O.user, ul); r[1 + ul] = 0; memcpy(r + 2 + ul, O.pass, pl);
  bls(&b, r, 2 + ul + pl); bss(&b, "en_US"); bend(&b, a); wput(c, b.p, b.len); free(b.p);
}
static void server_error(conn *c, const u8 *p, u32 n, const char *what) {
  u16 code = n >= 2 ? g16(p) : 0; int tl = n >= 3 ? p[2] : 0; if (tl > (int)n - 3) tl = n - 3; if (tl < 0) tl = 0;
  u16 cls = (u32)tl + 7 <= n ? g16(p + 3 + tl) : 0, m = (u32)tl + 7 <= n ? g16(p + 5 + tl) : 0;
  if (O.reconnect && (code == 320 || code == 541 || code == 404)) { fprintf(stderr, "amqpbench: server sent %s %u %.*s; reconnecting\n", what, code, tl, p + 3); conn_lost(c, "closed by server"); return; }
  fprintf(stderr, "amqpbench: server sent %s %u \"%.*s\" (class %u method %u)\n", what, code, tl, p + 3, cls, m);
  exit(2);
}

// ---------------------------------------------------------------- messages
static inline bool bit_set(u8 **bits, u32 *cap, u32 i) { // returns previous value
  if (i >= *cap) { u32 nc = *cap ? *cap : 8192; while (nc <= i) nc *= 2; *bits = xrealloc(*bits, nc / 8); memset(*bits + *cap / 8, 0, (nc - *cap) / 8); *cap = nc; }
  u8 m = 1 << (i & 7), *b = &(*bits)[i >> 3]; bool o = *b & m; *b |= m; return o;
}
static inline void put_ack(conn *c, u64 tag, bool multiple) { u8 *p = wroom(c, 21); static const u8 h[11] = {1, 0, 1, 0, 0, 0, 13, 0, 60, 0, 80}; memcpy(p, h, 11); s64(p + 11, tag); p[19] = multiple; p[20] = 0xCE; c->wlen += 21; c->unacked = 0; }

static u64 tnow; // refreshed for each read batch
static inline void on_message(conn *c) {
  K.consumed++; c->got++; c->last_tag = c->dtag;
  if (measuring) { if (tnow - last_deliver > gap_deliver) { gap_deliver = tnow - last_deliver; gap_deliver_at = last_deliver; } }
  last_deliver = tnow;
  if (c->redel) K.redelivered++;
  if (c->body_size >= 16 && !O.no_check) {
    u64 ts; u16 pub, run; u32 seq; memcpy(&ts, c->head, 8); memcpy(&pub, c->head + 8, 2); memcpy(&run, c->head + 10, 2); memcpy(&seq, c->head + 12, 4);
    if ((run != O.runid && !O.drain) || pub >= O.pubs || c->subno >= c->nsubs) K.foreign++;
    else {
      if (measuring && !O.drain) hist_add(&H_lat, tnow > ts ? tnow - ts : 0);
      sub *s = &c->subs[c->subno]; size_t ti = (size_t)pub * O.queues + s->q;
      track *t = T[ti]; if (!t) t = T[ti] = xcalloc(1, sizeof(track));
      if (bit_set(&t->bits, &t->cap, seq)) { t->dup++; K.dup++; if (c->redel) K.dup_redel++; } else t->got++;
      if (!c->redel) { if (s->has[pub] && seq <= s->last[pub]) K.reordered++; }
      if (!s->has[pub] || seq > s->last[pub]) { s->last[pub] = seq; s->has[pub] = true; }
      if (O.ping && pub < O.pubs) { conn *pc = pubc[pub]; pc->ping_wait = false; pc->pump = true; }
    }
  }
  if (!O.autoack) { c->unacked++; if (c->unacked >= (u32)O.ack_every) put_ack(c, c->dtag, O.ack_every > 1); }
}
static inline void settle1(conn *c, pubinfo *pi, u64 tag, bool ok) {
  pend *e = &pi->ring[tag & pi->rmask]; if (!e->state) return;
  e->state = 0; c->outstanding--;
  if (ok) { K.confirmed++; if (!O.no_check) { route *r = &pi->r[e->route]; bit_set(&r->conf, &r->confcap, e->seq); } if (measuring) hist_add(&H_conf, tnow - e->ts); }
  else K.nacked++;
}
static void on_confirm(conn *c, u64 tag, bool multiple, bool ok) {
  pubinfo *pi = &P[c->idx]; if (c->role != R_PUB || !pi->ring) return;
  if (tag > c->next_tag) die(2, "server confirmed unknown delivery tag %" PRIu64, tag);
  if (measuring && tnow - last_confirm > gap_confirm) { gap_confirm = tnow - last_confirm; gap_confirm_at = last_confirm; }
  last_confirm = tnow;
  if (multiple) { u64 hi = tag ? tag : c->next_tag; for (u64 t = c->acked_upto + 1; t <= hi; t++) settle1(c, pi, t, ok); if (hi > c->acked_upto) c->acked_upto = hi; }
  else { settle1(c, pi, tag, ok); if (tag == c->acked_upto + 1) { c->acked_upto++; while (c->acked_upto < c->next_tag && !pi->ring[(c->acked_upto + 1) & pi->rmask].state) c->acked_upto++; } }
  c->pump = true;
}
static const double TS_SLACK = 2.0;
static void pump(conn *c) { // publish what window, rate and buffer allow
  c->pump = false;
  if (c->state != S_READY || c->role != R_PUB) return;
  pubinfo *pi = &P[c->idx];
  u64 t = now_ns(); u64 allowed = UINT64_MAX; int since = 0;
  for (int round = 0; round < 4; round++) {
    if (publishing && !c->blocked && !c->flow_off) {
      if (O.rate > 0) {
        if (!c->rate_t0) { c->rate_t0 = t - (u64)(1e9 / O.rate * ((double)(c->idx % 16) / 16)); c->rate_sent0 = c->sent; }
        allowed = (u64)c->rate_sent0 + (u64)((t - c->rate_t0) * 1e-9 * O.rate);
      }
      while (c->wlen - c->wpos < 65536) {
        if (c->sent >= c->max_send || c->sent >= allowed) break;
        if (O.confirm && (c->outstanding >= (u32)O.confirm || pi->ring[(c->next_tag + 1) & pi->rmask].state)) break;
        if (O.ping) { if (c->ping_wait) break; c->ping_wait = true; }
        if (++since == 32) { t = now_ns(); since = 0; }
        route *r = &pi->r[pi->ri]; if (++pi->ri == pi->nr) pi->ri = 0;
        tmpl *m = &r->t[r->ti]; if (++r->ti == r->nt) r->ti = 0;
        u64 ts = t;
        if (O.rate > 0) { u64 due = c->rate_t0 + (u64)((c->sent - c->rate_sent0 + 1) * 1e9 / O.rate); if (due + (u64)(TS_SLACK * O.tick_us * 1000) < t) ts = due; }
        u8 *p = wroom(c, m->len); memcpy(p, m->p, m->len); c->wlen += m->len;
        if (O.size >= 16) { u8 *q = p + m->body_at; u16 id = c->idx; memcpy(q, &ts, 8); memcpy(q + 8, &id, 2); memcpy(q + 10, &O.runid, 2); memcpy(q + 12, &r->seq, 4); }
        if (O.confirm) { u64 tag = ++c->next_tag; pend *e = &pi->ring[tag & pi->rmask]; e->ts = ts; e->seq = r->seq; e->route = r - pi->r; e->state = 1; c->outstanding++; }
        r->seq++; c->sent++; K.published++;
      }
    }
    if (c->wlen == c->wpos) return;
    if (!flush_conn(c)) return;
    if (c->state != S_READY) return;
    t = now_ns();
  }
  if (publishing) ep_mod(c, true); // more to send: come back after the other sockets had their turn
}

// ---------------------------------------------------------------- incoming methods
static void finish_script_reply(conn *c, u16 cls, u16 m) {
  step *s = &c->script[c->at];
  if (s->cls != cls || s->m != m) die(2, "unexpected reply %u.%u, wanted %u.%u", cls, m, s->cls, s->m);
  c->at++; next_step(c);
}
static u32 last_declare_count;
static void on_method(conn *c, u16 ch, const u8 *p, u32 n) {
  if (n < 4) die(2, "short method frame");
  u16 cls = g16(p), m = g16(p + 2); p += 4; n -= 4; u32 id = (u32)cls << 16 | m;
  switch (id) {
  case 10 << 16 | 10: if (c->state != S_START) die(2, "unexpected connection.start"); send_start_ok(c); c->state = S_TUNE; break;
  case 10 << 16 | 30: {
    if (n < 8) die(2, "short tune");
    u16 chm = g16(p); u32 fm = g32(p + 2); u16 hb = g16(p + 6);
    c->frame_max = fm && fm < O.frame_max ? fm : O.frame_max; if (O.heartbeat >= 0) hb = (hb && O.heartbeat && hb < O.heartbeat) ? hb : O.heartbeat; c->hb = hb;
    buf b = {0}; size_t a = bmethod(&b, 0, 10, 31); b16(&b, chm); b32(&b, c->frame_max); b16(&b, hb); bend(&b, a);
    a = bmethod(&b, 0, 10, 40); bss(&b, O.vhost); bss(&b, ""); b8(&b, 0); bend(&b, a);
    wput(c, b.p, b.len); free(b.p); c->state = S_OPEN; break; }
  case 10 << 16 | 41: {
    if (c->role == R_IDLE && !O.idle_channel) { c->state = S_READY; ready_count++; break; }
    buf b = {0}; size_t a = bmethod(&b, 1, 20, 10); bss(&b, ""); bend(&b, a); wput(c, b.p, b.len); free(b.p); c->state = S_CHOPEN; break; }
  case 20 << 16 | 11: if (c->state == S_CHOPEN) next_step(c); break;
  case 10 << 16 | 50: { static const u8 ok[] = {1, 0, 0, 0, 0, 0, 4, 0, 10, 0, 51, 0xCE}; if (c->fd >= 0) { wput(c, ok, sizeof ok); flush_conn(c); } server_error(c, p, n, "connection.close"); break; }
  case 10 << 16 | 51: {
    if (c->role == R_CHURN) { struct linger l = {1, 0}; setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l); if (measuring) hist_add(&H_churn, now_ns() - c->t_open); K.churned++; drop_fd(c); c->state = S_DEAD; if (publishing) start_connect(c); }
    else { drop_fd(c); c->state = S_DEAD; } break; }
  case 10 << 16 | 60: if (!c->blocked) { c->blocked = true; c->blocked_since = now_ns(); fprintf(stderr, "amqpbench: connection.blocked: %.*s\n", n ? p[0] : 0, p + 1); } break;
  case 10 << 16 | 61: if (c->blocked) { c->blocked = false; K.blocked_ns += now_ns() - c->blocked_since; c->pump = true; } break;
  case 20 << 16 | 20: { c->flow_off = !(n && (p[0] & 1)); K.flow_events++; u8 r[] = {1, 0, 1, 0, 0, 0, 5, 0, 20, 0, 21, n ? p[0] : 1, 0xCE}; s16(r + 1, ch); wput(c, r, sizeof r); c->pump = true; break; }
  case 20 << 16 | 40: server_error(c, p, n, "channel.close"); break;
  case 60 << 16 | 60: { // deliver
    int tl = p[0], q = 0; for (int i = 1; i <= tl; i++) q = q * 10 + (p[i] - '0');
    c->subno = q; p += 1 + tl; c->dtag = g64(p); c->redel = p[8] & 1; c->content = 1; c->body_got = 0; c->body_size = UINT64_MAX; break; }
  case 60 << 16 | 50: c->content = 2; c->body_got = 0; c->body_size = UINT64_MAX; break;
  case 60 << 16 | 80: on_confirm(c, g64(p), p[8] & 1, true); break;
  case 60 << 16 | 120: on_confirm(c, g64(p), p[8] & 1, false); break;
  case 60 << 16 | 30: { // the server cancelled a consumer
    K.cancels++; fprintf(stderr, "amqpbench: consumer %.*s cancelled by server\n", p[0], p + 1);
    if (!O.reconnect) exit(2);
    conn_lost(c, "consumer cancelled"); break; }
  case 50 << 16 | 11: { int l = p[0]; last_declare_count = g32(p + 1 + l); if (c->state == S_SCRIPT) finish_script_reply(c, cls, m); else c->synced = true; break; }
  default:
    if (c->state == S_SCRIPT) finish_script_reply(c, cls, m);
    else if (c->state != S_CLOSING) die(2, "unexpected method %u.%u in state %d", cls, m, c->state);
  }
}
static size_t parse(conn *c, u8 *b, size_t n) {
  size_t o = 0;
  if (c->state == S_START && n >= 8 && !memcmp(b, "AMQP", 4)) die(2, "server refused the protocol header and offers AMQP %u-%u-%u", b[5], b[6], b[7]);
  while (n - o >= 8) {
    u8 *f = b + o; u32 sz = g32(f + 3);
    if (sz > (c->frame_max ? c->frame_max : O.frame_max) && sz > 131072) die(2, "frame of %u bytes exceeds frame_max", sz);
    if (n - o < (size_t)sz + 8) break;
    if (f[7 + sz] != 0xCE) die(2, "bad frame end");
    u8 *p = f + 7;
    switch (f[0]) {
    case 1: on_method(c, g16(f + 1), p, sz); if (c->fd < 0) return n; break;
    case 2:
      if (!c->content) die(2, "header frame without a content method");
      c->body_size = g64(p + 4);
      if (c->body_size == 0) { if (c->content == 1) on_message(c); else K.returned++; c->content = 0; }
      break;
    case 3: {
      if (!c->content || c->body_size == UINT64_MAX) die(2, "body frame out of place");
      if (c->body_got < 16) { u32 k = 16 - c->body_got; if (k > sz) k = sz; memcpy(c->head + c->body_got, p, k); }
      c->body_got += sz;
      if (c->body_got > c->body_size) die(2, "body longer than announced");
      if (c->body_got == c->body_size) { if (c->content == 1) on_message(c); else K.returned++; c->content = 0; }
      break; }
    case 8: break;
    default: die(2, "unknown frame type %u", f[0]);
    }
    o += (size_t)sz + 8;
  }
  return o;
}
static void on_readable(conn *c) {
  for (int round = 0; round < 4; round++) {
    size_t have = c->left_len; if (have) memcpy(rbuf, c->left, have);
    size_t room = RBUF - have; if (room > 262144) room = 262144;
    ssize_t n = recv(c->fd, rbuf + have, room, 0);
    if (n < 0) { if (errno == EAGAIN || errno == EINTR) break; conn_lost(c, strerror(errno)); return; }
    if (n == 0) {
      if (c->role == R_CHURN && c->state == S_CLOSING) { drop_fd(c); c->state = S_DEAD; K.churned++; if (publishing) start_connect(c); return; }
      conn_lost(c, c->state == S_TUNE ? "closed during login (wrong credentials?)" : "closed by peer"); return;
    }
    K.bytes_in += n; tnow = now_ns();
    size_t total = have + n, used = parse(c, rbuf, total);
    if (c->fd < 0) return;
    size_t rest = total - used;
    if (rest) { if (rest > c->left_cap) { c->left_cap = rest + 4096; c->left = xrealloc(c->left, c->left_cap); } memcpy(c->left, rbuf + used, rest); }
    c->left_len = rest;
    if (c->state == S_DEAD) return;
    if ((size_t)n < room) break;
  }
  if (c->role == R_PUB && c->state == S_READY) { if (c->pump) pump(c); else if (c->wlen > c->wpos) flush_conn(c); }
  else if (c->wlen > c->wpos) flush_conn(c);
}
static void on_event(conn *c, u32 ev) {
  if (c->fd < 0) return;
  if (c->state == S_CONNECTING) {
    int e = 0; socklen_t l = sizeof e; getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &l);
    if (e) { conn_lost(c, strerror(e)); return; }
    if (!(ev & EPOLLOUT)) return;
    c->state = S_START; wput(c, "AMQP\0\0\x09\x01", 8); flush_conn(c); return;
  }
  if (ev & (EPOLLIN | EPOLLHUP | EPOLLERR)) { on_readable(c); if (c->fd < 0) return; }
  if (ev & EPOLLOUT) { if (c->role == R_PUB && c->state == S_READY) { c->want_out = true; pump(c); if (c->fd >= 0 && c->wlen == c->wpos && !(publishing && !O.confirm && !O.rate && !O.ping && c->sent < c->max_send && !c->blocked && !c->flow_off)) ep_mod(c, false); } else flush_conn(c); }
}

// ---------------------------------------------------------------- process accounting
typedef struct { double cpu; u64 rss_kb; } procstat;
static procstat broker_stat(void) {
  procstat s = {0, 0}; static long hz; if (!hz) hz = sysconf(_SC_CLK_TCK); static long pg; if (!pg) pg = sysconf(_SC_PAGESIZE) / 1024;
  for (int i = 0; i < O.nbpid; i++) {
    char f[64], b[1024]; snprintf(f, sizeof f, "/proc/%d/stat", O.bpid[i]); int fd = open(f, O_RDONLY); if (fd < 0) continue;
    ssize_t n = read(fd, b, sizeof b - 1); close(fd); if (n <= 0) continue; b[n] = 0;
    char *p = strrchr(b, ')'); if (!p) continue; unsigned long ut = 0, st = 0; long rss = 0;
    sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d %*u %*u %ld", &ut, &st, &rss);
    s.cpu += (double)(ut + st) / hz; s.rss_kb += (u64)rss * pg;
  }
  return s;
}
static double self_cpu(void) { struct rusage r; getrusage(RUSAGE_SELF, &r); return r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e-6; }
static u64 peak_rss; 

// ---------------------------------------------------------------- event loop
static u64 next_slow, next_sec, sec_pub, sec_con, sec_conf;
static void slow_tick(u64 t) {
  if (O.nbpid) { procstat s = broker_stat(); if (s.rss_kb > peak_rss) peak_rss = s.rss_kb; }
  for (int i = 0; i < NC; i++) {
    conn *c = &C[i];
    if (c->state == S_DEAD && c->retry_at && c->retry_at <= t && O.reconnect && !closing_down) { c->retry_at = 0; start_connect(c); continue; }
    if (c->role == R_CON && c->state >= S_SCRIPT && c->fd >= 0 && c->unacked && c->got == c->seen_at_tick) { put_ack(c, c->last_tag, true); flush_conn(c); }
    c->seen_at_tick = c->got;
    if (c->hb && c->fd >= 0 && c->state == S_READY && t - c->last_sent > (u64)c->hb * 400000000ull) {
      static const u8 hbf[] = {8, 0, 0, 0, 0, 0, 0, 0xCE}; c->last_sent = t; if (c->wlen == c->wpos) { wput(c, hbf, sizeof hbf); flush_conn(c); }
    }
  }
  if (t >= next_sec) {
    if (O.progress && next_sec) fprintf(stderr, "%6.1f s  pub %7" PRIu64 "/s  conf %7" PRIu64 "/s  con %7" PRIu64 "/s\n", (t - t_begin) * 1e-9, K.published - sec_pub, K.confirmed - sec_conf, K.consumed - sec_con);
    sec_pub = K.published; sec_con = K.consumed; sec_conf = K.confirmed; next_sec = t + 1000000000ull;
  }
}
static void loop_once(u64 deadline) {
  u64 t = now_ns(); if (!next_slow) next_slow = t;
  u64 wake = next_slow < deadline ? next_slow : deadline;
  if (publishing && O.rate > 0) { u64 k = t + (u64)O.tick_us * 1000; if (k < wake) wake = k; }
  u64 d = wake > t ? wake - t : 0; struct timespec ts = {d / 1000000000ull, d % 1000000000ull};
  struct epoll_event ev[256]; int n = epoll_pwait2(ep, ev, 256, &ts, 0);
  if (n < 0 && errno != EINTR) die(1, "epoll: %s", strerror(errno));
  for (int i = 0; i < n; i++) on_event(ev[i].data.ptr, ev[i].events);
  t = now_ns();
  if (O.rate > 0 && publishing) { static u64 last; if (t - last >= (u64)O.tick_us * 1000) { last = t; for (int i = 0; i < O.pubs; i++) if (pubc[i]) pump(pubc[i]); } }
  if (O.ping) for (int i = 0; i < O.pubs; i++) if (pubc[i] && pubc[i]->pump) pump(pubc[i]);
  if (t >= next_slow) { slow_tick(t); next_slow = now_ns() + 50000000ull; }
}
static void run_script_on(conn *c) { // synchronous use of the admin connection
  if (c->state == S_READY) { ready_count--; next_step(c); flush_conn(c); }
  u64 dl = now_ns() + 120000000000ull; while (c->state != S_READY) { loop_once(dl); if (now_ns() > dl) die(2, "admin connection timed out"); if (c->state == S_DEAD && !O.reconnect) die(2, "admin connection lost"); }
}

// ---------------------------------------------------------------- building frames
static void put_qargs(buf *b) {
  size_t t = btable(b); char tmp[1024]; snprintf(tmp, sizeof tmp, "%s", O.qargs); char *save = 0;
  for (char *k = strtok_r(tmp, ",", &save); k; k = strtok_r(0, ",", &save)) {
    char *v = strchr(k, '='); if (!v) die(1, "--queue-args wants key=value"); *v++ = 0;
    char *end; long long iv = strtoll(v, &end, 10);
    if (*v && !*end) bkey_i64(b, k, iv); else if (!strcmp(v, "true") || !strcmp(v, "false")) bkey_bool(b, k, *v == 't'); else bkey_str(b, k, v);
  }
  btend(b, t);
}
static void step_declare(conn *c, int q) { buf b = {0}; size_t a = bmethod(&b, 1, 50, 10); b16(&b, 0); bss(&b, qname(q)); b8(&b, (O.durable ? 2 : 0) | (O.autodelete ? 8 : 0)); put_qargs(&b); bend(&b, a); add_step(c, &b, 50, 11); }
static void step_passive(conn *c, int q) { buf b = {0}; size_t a = bmethod(&b, 1, 50, 10); b16(&b, 0); bss(&b, qname(q)); b8(&b, 1); b32(&b, 0); bend(&b, a); add_step(c, &b, 50, 11); }
static void topic_pat(char *o, size_t n, int q, int i) { switch (i % 3) { case 0: snprintf(o, n, "q%d.*.k%d", q, i); break; case 1: snprintf(o, n, "q%d.k%d.#", q, i); break; default: snprintf(o, n, "#.k%d.q%d", i, q); } }
static void topic_key(char *o, size_t n, int q, int i) { switch (i % 3) { case 0: snprintf(o, n, "q%d.mid.k%d", q, i); break; case 1: snprintf(o, n, "q%d.k%d.a.b", q, i); break; default: snprintf(o, n, "a.b.k%d.q%d", i, q); } }
static bool is_ex(const char *t) { return !strcmp(O.extype, t); }
static void admin_setup(conn *c) {
  buf b = {0}; size_t a;
  if (!is_ex("default")) { a = bmethod(&b, 1, 40, 10); b16(&b, 0); bss(&b, O.exchange); bss(&b, O.extype); b8(&b, O.durable ? 2 : 0); b32(&b, 0); bend(&b, a); add_step(c, &b, 40, 11); }
  for (int q = 0; q < O.queues; q++) {
    step_declare(c, q);
    if (O.purge) { a = bmethod(&b, 1, 50, 30); b16(&b, 0); bss(&b, qname(q)); b8(&b, 0); bend(&b, a); add_step(c, &b, 50, 31); }
    if (is_ex("default")) continue;
    int nb = is_ex("fanout") ? 1 : O.bindings;
    for (int i = 0; i < nb; i++) {
      char key[128] = "";
      if (is_ex("topic")) topic_pat(key, sizeof key, q, i); else if (is_ex("direct")) snprintf(key, sizeof key, "q%d.k%d", q, i);
      a = bmethod(&b, 1, 50, 20); b16(&b, 0); bss(&b, qname(q)); bss(&b, O.exchange); bss(&b, key); b8(&b, 0);
      size_t t = btable(&b); if (is_ex("headers")) { bkey_str(&b, "x-match", "all"); bkey_i64(&b, "q", q); bkey_i64(&b, "k", i); } btend(&b, t);
      bend(&b, a); add_step(c, &b, 50, 21);
    }
  }
}
static tmpl make_tmpl(int q, int i) {
  buf b = {0}; char key[200] = ""; tmpl t;
  if (is_ex("default")) snprintf(key, sizeof key, "%s", qname(q)); else if (is_ex("topic")) topic_key(key, sizeof key, q, i); else if (is_ex("direct")) snprintf(key, sizeof key, "q%d.k%d", q, i);
  size_t a = bmethod(&b, 1, 60, 40); b16(&b, 0); bss(&b, is_ex("default") ? "" : O.exchange); bss(&b, key); b8(&b, O.mandatory); bend(&b, a);
  a = b.len; b8(&b, 2); b16(&b, 1); b32(&b, 0); b16(&b, 60); b16(&b, 0); b64(&b, O.size); b16(&b, (is_ex("headers") ? 0x2000 : 0) | 0x1000);
  if (is_ex("headers")) { size_t h = btable(&b); bkey_i64(&b, "q", q); bkey_i64(&b, "k", i); btend(&b, h); }
  b8(&b, O.persistent ? 2 : 1); bend(&b, a);
  t.body_at = b.len + 7; u32 left = O.size, fm = O.frame_max - 8; u32 x = 12345;
  while (left) { u32 k = left < fm ? left : fm; b8(&b, 3); b16(&b, 1); b32(&b, k); breserve(&b, k); for (u32 j = 0; j < k; j++) { x = x * 1103515245 + 12345; b.p[b.len++] = x >> 16; } b8(&b, 0xCE); left -= k; }
  t.p = b.p; t.len = b.len; return t;
}
static void init_conn(conn *c, int role, int idx, eplist *eps) { memset(c, 0, sizeof *c); c->fd = -1; c->role = role; c->idx = idx; c->eps = eps; c->epn = idx; c->max_send = UINT64_MAX; c->last_sent = now_ns(); }
static void build_pub(conn *c, int p) {
  init_conn(c, R_PUB, p, &O.pub_ep); buf b = {0};
  if (O.confirm) { size_t a = bmethod(&b, 1, 85, 10); b8(&b, 0); bend(&b, a); add_step(c, &b, 85, 11); }
  pubinfo *pi = &P[p];
  if (is_ex("fanout") ) { pi->nr = 1; pi->r = xcalloc(1, sizeof(route)); pi->r[0].q = -1; }
  else { int n = O.queues; pi->nr = O.pubs >= n ? 1 : (n - p + O.pubs - 1) / O.pubs; pi->r = xcalloc(pi->nr, sizeof(route)); for (int i = 0; i < pi->nr; i++) pi->r[i].q = (p + i * O.pubs) % n; }
  int nt = is_ex("default") || is_ex("fanout") ? 1 : O.bindings < O.key_cycle ? O.bindings : O.key_cycle;
  for (int i = 0; i < pi->nr; i++) { route *r = &pi->r[i]; r->nt = nt; r->t = xcalloc(nt, sizeof(tmpl)); for (int k = 0; k < nt; k++) r->t[k] = make_tmpl(r->q < 0 ? 0 : r->q, nt == O.bindings ? k : (int)((long)k * O.bindings / nt)); r->ti = nt > 1 ? (u32)(p * 7) % nt : 0; }
  if (O.confirm) { u32 s = 2; while (s < (u32)O.confirm + 1) s *= 2; pi->ring = xcalloc(s, sizeof(pend)); pi->rmask = s - 1; }
}
static void build_con(conn *c, int k) {
  init_conn(c, R_CON, k, &O.con_ep); buf b = {0}; size_t a;
  if (O.prefetch) { a = bmethod(&b, 1, 60, 10); b32(&b, 0); b16(&b, O.prefetch); b8(&b, O.global_qos); bend(&b, a); add_step(c, &b, 60, 11); }
  int n = O.queues; c->nsubs = O.cons >= n ? 1 : (n - k + O.cons - 1) / O.cons; c->subs = xcalloc(c->nsubs, sizeof(sub));
  for (int i = 0; i < c->nsubs; i++) {
    sub *s = &c->subs[i]; s->q = (k + i * O.cons) % n; s->last = xcalloc(O.pubs + 1, 4); s->has = xcalloc(O.pubs + 1, 1);
    char tag[16]; snprintf(tag, sizeof tag, "%d", i);
    a = bmethod(&b, 1, 60, 20); b16(&b, 0); bss(&b, qname(s->q)); bss(&b, tag); b8(&b, O.autoack ? 2 : 0); b32(&b, 0); bend(&b, a); add_step(c, &b, 60, 21);
  }
}
static void connect_all(conn **v, int n, double limit) {
  int started = 0; u64 dl = now_ns() + (u64)(limit * 1e9);
  for (;;) {
    int ready = 0, pend = 0; for (int i = 0; i < started; i++) { if (v[i]->state == S_READY) ready++; else pend++; }
    if (ready == n) return;
    while (started < n && pend < O.par) { start_connect(v[started++]); pend++; }
    loop_once(now_ns() + 100000000ull);
    if (now_ns() > dl) die(2, "only %d of %d connections became ready in %.0f s", ready, n, limit);
    if (interrupted) exit(130);
  }
}
static void shutdown_conns(conn **v, int n) { // polite close, at most 5 s
  for (int i = 0; i < n; i++) { conn *c = v[i]; if (c->fd < 0) continue; if (c->state == S_READY || c->state == S_SCRIPT) { if (c->role == R_CON && c->unacked) put_ack(c, c->last_tag, true); if (c->state == S_READY) ready_count--; send_close(c); } else { drop_fd(c); c->state = S_DEAD; } }
  u64 dl = now_ns() + 5000000000ull; for (;;) { int open = 0; for (int i = 0; i < n; i++) if (v[i]->fd >= 0) open++; if (!open || now_ns() > dl) break; loop_once(now_ns() + 50000000ull); }
  for (int i = 0; i < n; i++) drop_fd(v[i]);
}
static void drain_to_close(void) {
  closing_down = true; conn **v = xcalloc(NC, sizeof(conn *)); int n = 0; for (int i = 0; i < NC; i++) if (C[i].role != R_ADMIN) v[n++] = &C[i];
  shutdown_conns(v, n); free(v);
  if (!O.keep && !O.no_declare && admin) {
    closing_down = false;
    if (admin->state != S_READY) { admin->nsteps = 0; closing_down = true; drop_fd(admin); closing_down = false; start_connect(admin); }
    admin->nsteps = admin->at = 0; buf b = {0};
    for (int q = 0; q < O.queues; q++) { size_t a = bmethod(&b, 1, 50, 40); b16(&b, 0); bss(&b, qname(q)); b8(&b, 0); bend(&b, a); add_step(admin, &b, 50, 41); }
    if (!is_ex("default")) { size_t a = bmethod(&b, 1, 40, 20); b16(&b, 0); bss(&b, O.exchange); b8(&b, 0); bend(&b, a); add_step(admin, &b, 40, 21); }
    if (admin->state == S_READY) run_script_on(admin); else { u64 dl = now_ns() + 20000000000ull; while (admin->state != S_READY && now_ns() < dl) loop_once(now_ns() + 50000000ull); }
    closing_down = true;
  }
  if (admin) { if (admin->state == S_READY) shutdown_conns(&admin, 1); drop_fd(admin); }
}

// ---------------------------------------------------------------- results
static u64 expected_total(void) { u64 n = 0; for (int p = 0; p < O.pubs; p++) for (int i = 0; i < P[p].nr; i++) n += (u64)P[p].r[i].seq * (P[p].r[i].q < 0 ? O.queues : 1); return n; }
static u64 got_total(void) { u64 n = 0; for (int i = 0; i < O.pubs * O.queues; i++) if (T[i]) n += T[i]->got; return n; }
static u64 outstanding_total(void) { u64 n = 0; for (int p = 0; p < O.pubs; p++) if (pubc[p]) n += pubc[p]->outstanding; return n; }
static void count_lost(u64 *lost_conf, u64 *lost_all) {
  *lost_conf = *lost_all = 0;
  for (int p = 0; p < O.pubs; p++) for (int i = 0; i < P[p].nr; i++) {
    route *r = &P[p].r[i]; int q0 = r->q < 0 ? 0 : r->q, q1 = r->q < 0 ? O.queues - 1 : r->q;
    for (int q = q0; q <= q1; q++) { track *t = T[(size_t)p * O.queues + q];
      for (u32 s = 0; s < r->seq; s++) { if (t && s < t->cap && (t->bits[s >> 3] >> (s & 7) & 1)) continue; ++*lost_all; if (s < r->confcap && (r->conf[s >> 3] >> (s & 7) & 1)) ++*lost_conf; } }
  }
}
static char *js; static size_t jl; static FILE *J;
static void jnum(const char *k, double v) { if (jl || ftell(J) > 1) fputs(",", J); fprintf(J, "\"%s\":", k); if (v == (double)(int64_t)v && v < 9e15 && v > -9e15) fprintf(J, "%" PRId64, (int64_t)v); else fprintf(J, "%.3f", v); }
static void jstr(const char *k, const char *v) { if (ftell(J) > 1) fputs(",", J); fprintf(J, "\"%s\":\"%s\"", k, v); }
static void jhist(const char *pre, const hist *h) { char k[64]; if (!h->n) return; const char *nm[] = {"p50", "p95", "p99", "p999"}; double q[] = {.5, .95, .99, .999}; for (int i = 0; i < 4; i++) { snprintf(k, 64, "%s_%s_us", pre, nm[i]); jnum(k, hist_q(h, q[i])); } snprintf(k, 64, "%s_max_us", pre); jnum(k, h->max / 1000.0); snprintf(k, 64, "%s_mean_us", pre); jnum(k, h->sum / h->n / 1000.0); }
static void jbegin(const char *mode) { J = open_memstream(&js, &jl); fputc('{', J); jstr("mode", mode); }
static void jend(void) { fputs("}", J); fclose(J); puts(js); fflush(stdout); }
static void on_int(int s) { (void)s; interrupted++; if (interrupted > 1) _exit(130); }

static void usage(void) {
  puts("usage: amqpbench [options]   (see README.md)\n"
       "  --uri amqp://u:p@host:port/vhost   --host H --port P[,P..] --pub-port L --con-port L --admin-port L\n"
       "  --user U --pass P --vhost V  --heartbeat S  --frame-max B\n"
       "  --publishers N --consumers M --queues Q --queue-prefix S  --size BYTES --persistent --durable --mandatory\n"
       "  --confirm WINDOW  --prefetch N --ack-every K | --autoack   --rate MSGS_PER_S (per publisher) --tick-us US\n"
       "  --exchange default|direct|fanout|topic|headers --exchange-name S --bindings N --key-cycle N --queue-args k=v,k=v\n"
       "  --duration S --warmup S --count N (per publisher) --drain-timeout S --reconnect [--reconnect-delay MS] --progress\n"
       "  --keep --no-purge --no-declare --auto-delete --no-check --json\n"
       "  --preload N [--no-drain] [--settle S]   --drain N   --ping   --idle-connections N [--idle-channel]   --churn PARALLEL\n"
       "  --broker-pid PID[,PID..]");
}
int main(int argc, char **argv) {
  O.pubs = O.cons = O.queues = 1; O.size = 1024; O.ack_every = 0; O.bindings = 1; O.duration = 10; O.warmup = 2; O.drain_timeout = 5; O.frame_max = 131072; O.heartbeat = -1; O.tick_us = 1000; O.par = 64; O.purge = true; O.key_cycle = 4096; O.reconnect_ms = 20;
  strcpy(O.extype, "default"); strcpy(O.exchange, "amqpbench"); strcpy(O.prefix, "amqpbench.q"); strcpy(O.host, "127.0.0.1"); strcpy(O.user, "guest"); strcpy(O.pass, "guest"); strcpy(O.vhost, "/");
  bool p_set = false, c_set = false;
  enum { o_uri = 256, o_host, o_port, o_pubport, o_conport, o_adminport, o_user, o_pass, o_vhost, o_pubs, o_cons, o_queues, o_prefix, o_size, o_pers, o_dur, o_mand, o_conf, o_prefetch, o_ackev, o_autoack, o_rate, o_tick, o_ex, o_exname, o_bind, o_qargs, o_duration, o_warmup, o_count, o_draint, o_reconnect, o_progress, o_keep, o_nopurge, o_nodecl, o_autodel, o_nocheck, o_json, o_preload, o_nodrain, o_settle, o_drain, o_ping, o_idle, o_idlech, o_churn, o_bpid, o_hb, o_fm, o_par, o_gqos, o_keycycle, o_recms };
  static struct option lo[] = {{"uri", 1, 0, o_uri}, {"host", 1, 0, o_host}, {"port", 1, 0, o_port}, {"pub-port", 1, 0, o_pubport}, {"con-port", 1, 0, o_conport}, {"admin-port", 1, 0, o_adminport}, {"user", 1, 0, o_user}, {"pass", 1, 0, o_pass}, {"vhost", 1, 0, o_vhost}, {"publishers", 1, 0, o_pubs}, {"consumers", 1, 0, o_cons}, {"queues", 1, 0, o_queues}, {"queue-prefix", 1, 0, o_prefix}, {"size", 1, 0, o_size}, {"persistent", 0, 0, o_pers}, {"durable", 0, 0, o_dur}, {"mandatory", 0, 0, o_mand}, {"confirm", 1, 0, o_conf}, {"prefetch", 1, 0, o_prefetch}, {"ack-every", 1, 0, o_ackev}, {"autoack", 0, 0, o_autoack}, {"rate", 1, 0, o_rate}, {"tick-us", 1, 0, o_tick}, {"exchange", 1, 0, o_ex}, {"exchange-name", 1, 0, o_exname}, {"bindings", 1, 0, o_bind}, {"queue-args", 1, 0, o_qargs}, {"duration", 1, 0, o_duration}, {"warmup", 1, 0, o_warmup}, {"count", 1, 0, o_count}, {"drain-timeout", 1, 0, o_draint}, {"reconnect", 0, 0, o_reconnect}, {"progress", 0, 0, o_progress}, {"keep", 0, 0, o_keep}, {"no-purge", 0, 0, o_nopurge}, {"no-declare", 0, 0, o_nodecl}, {"auto-delete", 0, 0, o_autodel}, {"no-check", 0, 0, o_nocheck}, {"json", 0, 0, o_json}, {"preload", 1, 0, o_preload}, {"no-drain", 0, 0, o_nodrain}, {"settle", 1, 0, o_settle}, {"drain", 1, 0, o_drain}, {"ping", 0, 0, o_ping}, {"idle-connections", 1, 0, o_idle}, {"idle-channel", 0, 0, o_idlech}, {"churn", 1, 0, o_churn}, {"broker-pid", 1, 0, o_bpid}, {"heartbeat", 1, 0, o_hb}, {"frame-max", 1, 0, o_fm}, {"connect-parallel", 1, 0, o_par}, {"qos-global", 0, 0, o_gqos}, {"key-cycle", 1, 0, o_keycycle}, {"reconnect-delay", 1, 0, o_recms}, {"help", 0, 0, 'h'}, {0}};
  int o;
  while ((o = getopt_long(argc, argv, "h", lo, 0)) != -1) switch (o) {
#define STR(f) snprintf(f, sizeof f, "%s", optarg)
    case o_uri: parse_uri(optarg); break; case o_host: STR(O.host); break;
    case o_port: O.pub_ep.n = O.con_ep.n = 0; add_ep(&O.pub_ep, optarg); add_ep(&O.con_ep, optarg); break;
    case o_pubport: O.pub_ep.n = 0; add_ep(&O.pub_ep, optarg); break; case o_conport: O.con_ep.n = 0; add_ep(&O.con_ep, optarg); break; case o_adminport: O.admin_ep.n = 0; add_ep(&O.admin_ep, optarg); break;
    case o_user: STR(O.user); break; case o_pass: STR(O.pass); break; case o_vhost: STR(O.vhost); break;
    case o_pubs: O.pubs = atoi(optarg); p_set = true; break; case o_cons: O.cons = atoi(optarg); c_set = true; break; case o_queues: O.queues = atoi(optarg); break; case o_prefix: STR(O.prefix); break;
    case o_size: O.size = strtoul(optarg, 0, 10); break; case o_pers: O.persistent = true; break; case o_dur: O.durable = true; break; case o_mand: O.mandatory = true; break;
    case o_conf: O.confirm = atoi(optarg); break; case o_prefetch: O.prefetch = atoi(optarg); break; case o_ackev: O.ack_every = atoi(optarg); break; case o_autoack: O.autoack = true; break;
    case o_rate: O.rate = atof(optarg); break; case o_tick: O.tick_us = atoi(optarg); break; case o_ex: STR(O.extype); break; case o_exname: STR(O.exchange); break; case o_bind: O.bindings = atoi(optarg); break; case o_qargs: STR(O.qargs); break;
    case o_duration: O.duration = atof(optarg); break; case o_warmup: O.warmup = atof(optarg); break; case o_count: O.count = strtoull(optarg, 0, 10); break; case o_draint: O.drain_timeout = atof(optarg); break;
    case o_reconnect: O.reconnect = true; break; case o_progress: O.progress = true; break; case o_keep: O.keep = true; break; case o_nopurge: O.purge = false; break; case o_nodecl: O.no_declare = true; break; case o_autodel: O.autodelete = true; break; case o_nocheck: O.no_check = true; break; case o_json: O.json_only = true; break;
    case o_preload: O.preload = strtoull(optarg, 0, 10); break; case o_nodrain: O.no_drain = true; break; case o_settle: O.settle = atof(optarg); break; case o_drain: O.drain = strtoull(optarg, 0, 10); break; case o_ping: O.ping = true; break;
    case o_idle: O.idle = atoi(optarg); break; case o_idlech: O.idle_channel = true; break; case o_churn: O.churn = atoi(optarg); break;
    case o_bpid: { char *s = 0; for (char *t = strtok_r(optarg, ",", &s); t && O.nbpid < 64; t = strtok_r(0, ",", &s)) O.bpid[O.nbpid++] = atoi(t); break; }
    case o_hb: O.heartbeat = atoi(optarg); break; case o_fm: O.frame_max = strtoul(optarg, 0, 10); break; case o_par: O.par = atoi(optarg); break; case o_gqos: O.global_qos = true; break; case o_keycycle: O.key_cycle = atoi(optarg); break; case o_recms: O.reconnect_ms = atoi(optarg); break;
    case 'h': usage(); return 0; default: usage(); return 1;
  }
  if (optind < argc) die(1, "unexpected argument %s", argv[optind]);
  const char *types[] = {"default", "direct", "fanout", "topic", "headers"}; bool okt = false; for (int i = 0; i < 5; i++) okt |= is_ex(types[i]); if (!okt) die(1, "unknown exchange type %s", O.extype);
  if (O.pubs > 65535 || O.pubs < 0 || O.cons < 0 || O.queues < 1) die(1, "bad counts");
  if (O.frame_max < 4096 || O.frame_max > 900000) die(1, "--frame-max must be within 4096..900000");
  if (!O.ack_every) O.autoack = true; else if (O.autoack) die(1, "--autoack and --ack-every exclude each other");
  if (O.prefetch && O.ack_every > O.prefetch) die(1, "--ack-every must not exceed --prefetch");
  if (O.ping) { if (!p_set) O.pubs = 1; if (!c_set) O.cons = O.pubs; if (O.size < 16) die(1, "--ping needs --size >= 16"); }
  if (!O.pub_ep.n) add_ep(&O.pub_ep, "5672"); if (!O.con_ep.n) O.con_ep = O.pub_ep; if (!O.admin_ep.n) { O.admin_ep = O.pub_ep; }
  resolve(&O.pub_ep); resolve(&O.con_ep); resolve(&O.admin_ep);
  if (O.drain) O.purge = false;
  struct timespec rt; clock_gettime(CLOCK_REALTIME, &rt); O.runid = (u16)(rt.tv_nsec / 1000 ^ getpid() ^ rt.tv_sec);
  signal(SIGPIPE, SIG_IGN); signal(SIGINT, on_int); signal(SIGTERM, on_int);
  struct rlimit rl; if (!getrlimit(RLIMIT_NOFILE, &rl)) { rl.rlim_cur = rl.rlim_max; setrlimit(RLIMIT_NOFILE, &rl); }
  ep = epoll_create1(EPOLL_CLOEXEC); rbuf = xmalloc(RBUF + 65536); t_begin = now_ns();
  procstat b0 = broker_stat();

  if (O.idle) { // ------------------------------------------------ idle connections
    O.pubs = O.cons = 0; NC = O.idle; C = xcalloc(NC, sizeof(conn)); conn **v = xcalloc(NC, sizeof(conn *));
    for (int i = 0; i < NC; i++) { init_conn(&C[i], R_IDLE, i, &O.pub_ep); v[i] = &C[i]; }
    u64 t0 = now_ns(); connect_all(v, NC, 600); double ct = (now_ns() - t0) * 1e-9; procstat b1 = broker_stat();
    u64 end = now_ns() + (u64)(O.duration * 1e9); while (now_ns() < end && !interrupted) loop_once(end);
    procstat b2 = broker_stat();
    jbegin("idle"); jnum("connections", NC); jnum("connect_s", ct); jnum("connects_per_s", NC / ct); jnum("broker_rss_before_kb", b0.rss_kb); jnum("broker_rss_connected_kb", b1.rss_kb); jnum("broker_rss_after_hold_kb", b2.rss_kb); jnum("broker_peak_rss_kb", peak_rss); jnum("rss_per_connection_kb", ((double)b2.rss_kb - b0.rss_kb) / NC); jnum("broker_cpu_connect_s", b1.cpu - b0.cpu); jnum("broker_cpu_hold_s", b2.cpu - b1.cpu); jnum("hold_s", O.duration); jnum("tool_cpu_s", self_cpu()); jend();
    if (!O.json_only) printf("idle: %d connections in %.2f s (%.0f/s), broker RSS %.1f -> %.1f MiB, %.1f KiB per connection\n", NC, ct, NC / ct, b0.rss_kb / 1024.0, b2.rss_kb / 1024.0, ((double)b2.rss_kb - b0.rss_kb) / NC);
    closing_down = true; shutdown_conns(v, NC); return 0;
  }
  if (O.churn) { // ------------------------------------------------ connection churn
    O.pubs = O.cons = 0; NC = O.churn; C = xcalloc(NC, sizeof(conn)); publishing = true;
    for (int i = 0; i < NC; i++) { conn *c = &C[i]; init_conn(c, R_CHURN, i, &O.pub_ep); buf b = {0}; size_t a = bmethod(&b, 1, 50, 10); b16(&b, 0); bss(&b, ""); b8(&b, 4 | 8); b32(&b, 0); bend(&b, a); add_step(c, &b, 50, 11); start_connect(c); }
    u64 t0 = now_ns() + (u64)(O.warmup * 1e9); while (now_ns() < t0 && !interrupted) loop_once(t0);
    measuring = true; t0 = now_ns(); u64 n0 = K.churned; b0 = broker_stat(); double c0 = self_cpu();
    u64 end = t0 + (u64)(O.duration * 1e9); while (now_ns() < end && !interrupted) loop_once(end);
    double el = (now_ns() - t0) * 1e-9; u64 n = K.churned - n0; procstat b1 = broker_stat(); double c1 = self_cpu(); measuring = false; publishing = false; closing_down = true;
    jbegin("churn"); jnum("parallel", NC); jnum("elapsed_s", el); jnum("cycles", n); jnum("cycles_per_s", n / el); jhist("cycle", &H_churn); jnum("tool_cpu_s", c1 - c0); jnum("broker_cpu_s", b1.cpu - b0.cpu); jnum("broker_peak_rss_kb", peak_rss); jend();
    if (!O.json_only) printf("churn: %.0f connection cycles/s, p50 %.0f us p99 %.0f us, broker CPU %.2f s\n", n / el, hist_q(&H_churn, .5), hist_q(&H_churn, .99), b1.cpu - b0.cpu);
    for (int i = 0; i < NC; i++) drop_fd(&C[i]); return 0;
  }
  // ------------------------------------------------ everything else
  NC = O.pubs + O.cons + 1; C = xcalloc(NC, sizeof(conn)); P = xcalloc(O.pubs + 1, sizeof(pubinfo)); T = xcalloc((size_t)O.pubs * O.queues + 1, sizeof(track *)); pubc = xcalloc(O.pubs + 1, sizeof(conn *)); conc = xcalloc(O.cons + 1, sizeof(conn *));
  admin = &C[NC - 1]; init_conn(admin, R_ADMIN, 0, &O.admin_ep);
  for (int i = 0; i < O.pubs; i++) { pubc[i] = &C[i]; init_conn(&C[i], R_PUB, i, &O.pub_ep); }
  for (int i = 0; i < O.cons; i++) { conc[i] = &C[O.pubs + i]; init_conn(conc[i], R_CON, i, &O.con_ep); }
  if (!O.no_declare) admin_setup(admin);
  if (O.drain) { admin->nsteps = 0; for (int q = 0; q < O.queues; q++) step_passive(admin, q); }
  start_connect(admin); run_script_on(admin);
  // learn the server's frame_max before the templates are made
  if (admin->frame_max && admin->frame_max < O.frame_max) O.frame_max = admin->frame_max;
  for (int i = 0; i < O.pubs; i++) build_pub(pubc[i], i);
  for (int i = 0; i < O.cons; i++) build_con(conc[i], i);

  if (O.preload || O.drain) {
    double fill_s = 0, settle_cpu = 0; procstat f0 = {0}, f1 = {0}, d0 = {0}, d1 = {0}, s1 = {0}; double drain_s = 0, first_s = 0; u64 drained = 0; double c0 = self_cpu(), t_wait = 0;
    if (O.preload) {
      connect_all(pubc, O.pubs, 60);
      for (int i = 0; i < O.pubs; i++) pubc[i]->max_send = O.preload / O.pubs + ((u64)i < O.preload % O.pubs);
      f0 = broker_stat(); u64 t0 = now_ns(); tnow = last_confirm = t0; measuring = publishing = true; for (int i = 0; i < O.pubs; i++) pump(pubc[i]);
      for (;;) {
        bool done = true;
        for (int i = 0; i < O.pubs; i++) { conn *c = pubc[i]; if (c->sent < c->max_send) { done = false; continue; }
          if (!c->sync_sent && c->state == S_READY) { c->sync_sent = true; buf b = {0}; int q = P[i].r[0].q < 0 ? 0 : P[i].r[0].q; size_t a = bmethod(&b, 1, 50, 10); b16(&b, 0); bss(&b, qname(q)); b8(&b, 1); b32(&b, 0); bend(&b, a); wput(c, b.p, b.len); free(b.p); flush_conn(c); }
          if (!c->synced || c->outstanding) done = false; }
        if (done || interrupted) break;
        loop_once(now_ns() + 100000000ull);
      }
      publishing = measuring = false; fill_s = (now_ns() - t0) * 1e-9; f1 = broker_stat();
      (void)settle_cpu;
    }
    if (O.settle > 0) { u64 e = now_ns() + (u64)(O.settle * 1e9); while (now_ns() < e) loop_once(e); }
    s1 = broker_stat(); (void)t_wait;
    u64 want = O.drain ? O.drain : expected_total();
    if (!(O.preload && O.no_drain) && O.cons > 0) {
      d0 = broker_stat(); u64 t0 = now_ns(); last_deliver = 0; for (int i = 0; i < O.cons; i++) start_connect(conc[i]);
      u64 lastn = 0, lastt = t0;
      while (K.consumed < want && !interrupted) { loop_once(now_ns() + 100000000ull); if (K.consumed && first_s == 0) first_s = (now_ns() - t0) * 1e-9; if (K.consumed != lastn) { lastn = K.consumed; lastt = now_ns(); } else if (now_ns() - lastt > (u64)((O.drain_timeout + 30) * 1e9)) break; }
      drain_s = (now_ns() - t0) * 1e-9; d1 = broker_stat(); drained = K.consumed;
    }
    u64 lc = 0, la = 0; if (O.preload && drained) count_lost(&lc, &la); else if (O.drain) la = want > got_total() ? want - got_total() : 0;
    jbegin(O.preload ? "preload" : "drain"); jnum("size", O.size);
    if (O.preload) { jnum("preloaded", K.published); jnum("fill_s", fill_s); jnum("fill_per_s", K.published / fill_s); jnum("confirmed", K.confirmed); jnum("nacked", K.nacked); jnum("fill_broker_cpu_s", f1.cpu - f0.cpu); jnum("rss_before_kb", f0.rss_kb); jnum("rss_after_fill_kb", f1.rss_kb); jnum("rss_after_settle_kb", s1.rss_kb); jhist("confirm", &H_conf); }
    else { jnum("queue_ready_before", last_declare_count); jnum("rss_before_kb", s1.rss_kb); }
    if (drained) { jnum("drained", drained); jnum("first_delivery_s", first_s); jnum("drain_s", drain_s); jnum("drain_per_s", drained / drain_s); jnum("drain_broker_cpu_s", d1.cpu - d0.cpu); jnum("rss_after_drain_kb", d1.rss_kb); jnum("lost", la); jnum("duplicated", K.dup); jnum("reordered", K.reordered); jnum("redelivered", K.redelivered); jnum("foreign", K.foreign); }
    jnum("broker_peak_rss_kb", peak_rss); jnum("tool_cpu_s", self_cpu() - c0); jend();
    if (!O.json_only) { if (O.preload) printf("preload: %" PRIu64 " messages in %.2f s = %.0f/s, broker RSS %.1f -> %.1f MiB\n", K.published, fill_s, K.published / fill_s, f0.rss_kb / 1024.0, s1.rss_kb / 1024.0); if (drained) printf("drain: %" PRIu64 " messages in %.2f s = %.0f/s, lost %" PRIu64 " dup %" PRIu64 " reordered %" PRIu64 "\n", drained, drain_s, drained / drain_s, la, K.dup, K.reordered); }
    if (O.preload && O.no_drain) O.keep = true;
    drain_to_close(); return (la && drained) ? 3 : 0;
  }
  connect_all(conc, O.cons, 60); connect_all(pubc, O.pubs, 60);
  if (O.count) for (int i = 0; i < O.pubs; i++) pubc[i]->max_send = O.count;
  tnow = now_ns(); publishing = true; for (int i = 0; i < O.pubs; i++) pump(pubc[i]);
  u64 t0 = now_ns() + (u64)(O.warmup * 1e9); while (now_ns() < t0 && !interrupted) loop_once(t0);
  t0 = now_ns(); last_deliver = last_confirm = t0; tnow = t0; measuring = true; typeof(K) k0 = K; b0 = broker_stat(); peak_rss = b0.rss_kb; double c0 = self_cpu();
  u64 end = t0 + (u64)(O.duration * 1e9);
  while (now_ns() < end && !interrupted) { loop_once(end); if (O.count) { bool done = true; for (int i = 0; i < O.pubs; i++) if (pubc[i]->sent < O.count || pubc[i]->outstanding) done = false; if (done && (!O.cons || K.consumed >= expected_total())) break; } }
  u64 t1 = now_ns(); double el = (t1 - t0) * 1e-9; typeof(K) k1 = K; procstat b1 = broker_stat(); double c1 = self_cpu(); u64 peak = peak_rss; measuring = false; publishing = false;
  if (t1 - last_deliver > gap_deliver) { gap_deliver = t1 - last_deliver; gap_deliver_at = last_deliver; }
  if (O.confirm && t1 - last_confirm > gap_confirm) { gap_confirm = t1 - last_confirm; gap_confirm_at = last_confirm; }
  for (int i = 0; i < O.pubs; i++) if (pubc[i]->blocked) { K.blocked_ns += t1 - pubc[i]->blocked_since; }
  // drain
  u64 lastp = 0, lastt = now_ns(), expect = expected_total();
  for (;;) { // also after an interrupt: what is under way arrives and is checked; a second one ends at once
    bool all = (!O.cons || O.no_check || got_total() >= expect) && outstanding_total() == 0; if (all) { bool un = false; for (int i = 0; i < O.pubs; i++) if (pubc[i]->wlen > pubc[i]->wpos) un = true; if (!un) break; }
    u64 pr = K.consumed + K.confirmed + K.nacked; if (pr != lastp) { lastp = pr; lastt = now_ns(); } else if (now_ns() - lastt > (u64)(O.drain_timeout * 1e9)) break;
    loop_once(now_ns() + 20000000ull);
  }
  u64 lc = 0, la = 0; bool checked = O.cons > 0 && O.size >= 16 && !O.no_check && O.pubs > 0; if (checked) count_lost(&lc, &la);
  u64 lost = O.confirm ? lc : la;
  double pr = (k1.published - k0.published) / el, cr = (k1.consumed - k0.consumed) / el, fr = (k1.confirmed - k0.confirmed) / el;
  jbegin(O.ping ? "ping" : "run"); jnum("publishers", O.pubs); jnum("consumers", O.cons); jnum("queues", O.queues); jnum("size", O.size); jstr("exchange", O.extype); jnum("elapsed_s", el);
  jnum("published_per_s", pr); jnum("consumed_per_s", cr); jnum("confirmed_per_s", fr); jhist("latency", &H_lat); jhist("confirm", &H_conf);
  jnum("published", K.published); jnum("confirmed", K.confirmed); jnum("consumed", K.consumed); jnum("nacked", K.nacked); jnum("returned", K.returned); jnum("lost", lost); if (O.confirm) jnum("unreceived_unconfirmed", la - lc); jnum("duplicated", K.dup); jnum("duplicated_redelivered", K.dup_redel); jnum("reordered", K.reordered); jnum("redelivered", K.redelivered); jnum("foreign", K.foreign);
  jnum("reconnects", K.reconnects); jnum("unconfirmed_at_disconnect", K.unconfirmed_dropped); jnum("server_cancels", K.cancels); jnum("max_deliver_gap_ms", gap_deliver * 1e-6); jnum("max_deliver_gap_at_s", gap_deliver_at > t0 ? (gap_deliver_at - t0) * 1e-9 : 0); if (O.confirm) { jnum("max_confirm_gap_ms", gap_confirm * 1e-6); jnum("max_confirm_gap_at_s", gap_confirm_at > t0 ? (gap_confirm_at - t0) * 1e-9 : 0); }
  jnum("blocked_s", K.blocked_ns * 1e-9); jnum("flow_events", K.flow_events); jnum("tool_cpu_s", c1 - c0);
  if (O.nbpid) { jnum("broker_cpu_s", b1.cpu - b0.cpu); jnum("broker_cpu_cores", (b1.cpu - b0.cpu) / el); jnum("broker_cpu_us_per_msg", (k1.consumed - k0.consumed) ? (b1.cpu - b0.cpu) * 1e6 / (k1.consumed - k0.consumed) : 0); jnum("broker_peak_rss_kb", peak); jnum("broker_end_rss_kb", b1.rss_kb); }
  jend();
  if (!O.json_only) {
    printf("%s: pub %.0f/s con %.0f/s conf %.0f/s | latency us p50 %.0f p95 %.0f p99 %.0f p99.9 %.0f max %.0f", O.ping ? "ping" : "run", pr, cr, fr, hist_q(&H_lat, .5), hist_q(&H_lat, .95), hist_q(&H_lat, .99), hist_q(&H_lat, .999), H_lat.max / 1000.0);
    if (O.confirm) printf(" | confirm us p50 %.0f p99 %.0f", hist_q(&H_conf, .5), hist_q(&H_conf, .99));
    printf(" | lost %" PRIu64 " dup %" PRIu64 " reordered %" PRIu64 " | tool cpu %.2f s", lost, K.dup, K.reordered, c1 - c0);
    if (O.nbpid) printf(" | broker cpu %.2f s (%.2f cores) rss %.1f MiB", b1.cpu - b0.cpu, (b1.cpu - b0.cpu) / el, peak / 1024.0);
    puts(checked ? "" : " (loss not checked)");
  }
  drain_to_close();
  return checked && (lost || (K.dup > K.dup_redel) || K.reordered) ? 3 : 0;
}
