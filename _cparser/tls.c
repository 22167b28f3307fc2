/* One TLS session between two streams of bytes; tls.h draws it.
 *
 * OpenSSL reads and writes through a BIO of ours. It asks for a record's header and then for its
 * rest, never for more, so what is not asked for stays with the caller's bytes or in `kept`. When it
 * would have to wait, the BIO says "retry", and the call above ends with GP_AGAIN. */
#include "tls.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tls_internal.h"

/* ---- the BIO ---- */

static int wire_read(BIO *bio, char *buf, int size)
{
    struct gp_tls *tls = BIO_get_data(bio);
    size_t want = (size_t)size, have = gp_buffer_len(tls->kept);

    BIO_clear_retry_flags(bio);
    if (have) {
        want = want < have ? want : have;
        memcpy(buf, gp_buffer_at(tls->kept), want);
        gp_buffer_consume(&tls->kept, want);
        return (int)want;
    }
    want = want < tls->fed_len ? want : tls->fed_len;
    if (want == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(buf, tls->fed, want);
    tls->fed += want;
    tls->fed_len -= want;
    return (int)want;
}

static int wire_write(BIO *bio, const char *buf, int size)
{
    struct gp_tls *tls = BIO_get_data(bio);
    struct gp_tls_sink *sink = tls->sink;
    size_t len = (size_t)size;

    BIO_clear_retry_flags(bio);
    if (!sink)
        return gp_buffer_append(&tls->out, (const uint8_t *)buf, len) ? size : -1;
    len = len < sink->cap - sink->len ? len : sink->cap - sink->len;
    if (len == 0) {
        BIO_set_retry_write(bio);
        return -1;
    }
    memcpy(sink->data + sink->len, buf, len);
    sink->len += len;
    return (int)len;
}

static long wire_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *gp_tls_wire_new(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "greenpool");

    if (method && BIO_meth_set_read(method, wire_read) && BIO_meth_set_write(method, wire_write) &&
        BIO_meth_set_ctrl(method, wire_ctrl))
        return method;
    BIO_meth_free(method);
    return NULL;
}

/* ---- life ---- */

/* Whom a client expects to meet. An address has no server name indication (RFC 6066). */
static bool expect(struct gp_tls *tls, const char *host, bool check)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(tls->ssl);
    ASN1_OCTET_STRING *address = a2i_IPADDRESS(host);

    ERR_clear_error(); /* a name is no address */
    bool is_address = address != NULL;
    ASN1_OCTET_STRING_free(address);
    if (!is_address && !SSL_set_tlsext_host_name(tls->ssl, host))
        return false;
    if (!check)
        return true;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return is_address ? X509_VERIFY_PARAM_set1_ip_asc(param, host)
                      : X509_VERIFY_PARAM_set1_host(param, host, 0);
}

static bool set_up(struct gp_tls *tls, const char *host, bool check)
{
    BIO *wire = BIO_new(tls->context->wire);

    if (!wire)
        return false;
    BIO_set_data(wire, tls);
    BIO_set_init(wire, 1);
    SSL_set_bio(tls->ssl, wire, wire); /* owns it, once for both */
    if (tls->context->server)
        SSL_set_accept_state(tls->ssl);
    else
        SSL_set_connect_state(tls->ssl);
    return !host || expect(tls, host, check);
}

struct gp_tls *gp_tls_new(struct gp_tls_context *context, const char *host, bool check_host)
{
    struct gp_tls *tls = calloc(1, sizeof(*tls));

    if (!tls)
        return NULL;
    tls->context = gp_tls_context_share(context);
    tls->ssl = SSL_new(context->ctx);
    if (tls->ssl && set_up(tls, host, check_host))
        return tls;
    ERR_clear_error();
    gp_tls_free(tls);
    return NULL;
}

void gp_tls_free(struct gp_tls *tls)
{
    if (!tls)
        return;
    SSL_free(tls->ssl);
    gp_tls_context_free(tls->context);
    gp_buffer_free(&tls->kept);
    gp_buffer_free(&tls->out);
    free(tls);
}

const char *gp_tls_why(const struct gp_tls *tls)
{
    return tls->why;
}

/* ---- verdicts ---- */

static enum gp_result fail(struct gp_tls *tls)
{
    long verdict = SSL_get_verify_result(tls->ssl);

    tls->failed = true;
    gp_tls_explain(tls->why, NULL);
    if (verdict != X509_V_OK)
        (void)snprintf(tls->why, sizeof(tls->why), "certificate verify failed: %s",
                       X509_verify_cert_error_string(verdict));
    return GP_EPROTO;
}

/* What a call that did not succeed means. */
static enum gp_result verdict_of(struct gp_tls *tls, int returned)
{
    switch (SSL_get_error(tls->ssl, returned)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return GP_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return GP_EOF;
    default:
        return fail(tls);
    }
}

/* ---- bytes ---- */

enum gp_result gp_tls_feed(struct gp_tls *tls, const uint8_t *data, uint32_t length)
{
    return gp_buffer_append(&tls->kept, data, length) ? GP_OK : GP_EFULL;
}

uint32_t gp_tls_take(struct gp_tls *tls, uint8_t *data, uint32_t capacity)
{
    size_t len = gp_buffer_len(tls->out);

    len = len < capacity ? len : capacity;
    if (len)
        memcpy(data, gp_buffer_at(tls->out), len);
    gp_buffer_consume(&tls->out, len);
    return (uint32_t)len;
}

enum gp_result gp_tls_handshake(struct gp_tls *tls)
{
    if (tls->failed)
        return GP_EPROTO;
    ERR_clear_error();
    int returned = SSL_do_handshake(tls->ssl);
    if (returned == 1)
        return GP_OK;
    enum gp_result result = verdict_of(tls, returned);
    return result == GP_EOF ? fail(tls) : result;
}

enum gp_result gp_tls_open(struct gp_tls *tls, const uint8_t *data, size_t len, uint8_t *plain,
                           size_t cap, size_t *got)
{
    enum gp_result result = tls->failed ? GP_EPROTO : GP_OK;
    size_t n;

    *got = 0;
    tls->fed = data;
    tls->fed_len = len;
    ERR_clear_error();
    while (result == GP_OK && *got < cap) {
        int returned = SSL_read_ex(tls->ssl, plain + *got, cap - *got, &n);
        if (returned)
            *got += n;
        else
            result = verdict_of(tls, returned);
    }
    if (tls->fed_len && result == GP_OK && !gp_buffer_append(&tls->kept, tls->fed, tls->fed_len)) {
        (void)snprintf(tls->why, sizeof(tls->why), "out of memory");
        tls->failed = true;
        result = GP_EPROTO;
    }
    tls->fed = NULL;
    tls->fed_len = 0;
    return result == GP_AGAIN ? GP_OK : result;
}

enum gp_result gp_tls_read(struct gp_tls *tls, uint8_t *data, uint32_t capacity, uint32_t *length)
{
    size_t got;
    enum gp_result result = gp_tls_open(tls, NULL, 0, data, capacity, &got);

    *length = (uint32_t)got;
    if (got)
        return GP_OK; /* whatever stands behind it is told by the next call */
    return result == GP_OK ? GP_AGAIN : result;
}

enum gp_result gp_tls_seal(struct gp_tls *tls, const uint8_t *data, size_t len,
                           struct gp_tls_sink *sink, size_t *taken)
{
    enum gp_result result = tls->failed ? GP_EPROTO : GP_OK;
    size_t n;

    *taken = 0;
    tls->sink = sink;
    ERR_clear_error();
    while (result == GP_OK && *taken < len) {
        int returned = SSL_write_ex(tls->ssl, data + *taken, len - *taken, &n);
        if (returned)
            *taken += n;
        else
            result = verdict_of(tls, returned);
    }
    tls->sink = NULL;
    return result == GP_EOF ? fail(tls) : result;
}

enum gp_result gp_tls_write(struct gp_tls *tls, const uint8_t *data, uint32_t length)
{
    size_t taken;

    return gp_tls_seal(tls, data, length, NULL, &taken);
}

void gp_tls_end(struct gp_tls *tls)
{
    if (tls->failed || SSL_in_init(tls->ssl))
        return;
    ERR_clear_error();
    (void)SSL_shutdown(tls->ssl); /* the peer's own is waited for by nobody */
    ERR_clear_error();
}

bool gp_tls_midway(const struct gp_tls *tls)
{
    return gp_buffer_len(tls->kept) > 0 || SSL_has_pending(tls->ssl);
}

/* ---- what was agreed upon ---- */

void gp_tls_name(struct gp_tls *tls, char *name, size_t cap)
{
    memset(name, 0, cap); /* it lies in the shared segment: nothing of an earlier name stays */
    if (tls)
        (void)snprintf(name, cap, "%s/%s", SSL_get_version(tls->ssl),
                       SSL_get_cipher_name(tls->ssl));
}

/* One line, UTF-8, control characters escaped, as PostgreSQL's pg_stat_ssl shows names. False: it
 * has no room. */
static bool write_name(const X509_NAME *name, char *text, size_t cap)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL;
    bool good =
        bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0;
    long len = good ? BIO_get_mem_data(bio, &data) : 0;

    good = good && (size_t)len < cap;
    if (good && len) /* an empty name has no data */
        memcpy(text, data, (size_t)len);
    if (good)
        text[len] = '\0';
    BIO_free(bio);
    return good;
}

/* False: a zero byte is in it, so that others would read another name than the authority did. */
static bool write_common_name(const X509_NAME *name, char *text, size_t cap)
{
    int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    unsigned char *utf8 = NULL;

    text[0] = '\0';
    if (at < 0)
        return true;
    int len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    bool good = len >= 0 && (size_t)len < cap && !memchr(utf8, 0, (size_t)len);
    if (good) {
        memcpy(text, utf8, (size_t)len);
        text[len] = '\0';
    }
    OPENSSL_free(utf8);
    return good;
}

static bool describe_peer(const X509 *cert, struct gp_tls_facts *facts)
{
    const X509_NAME *subject = X509_get_subject_name(cert), *issuer = X509_get_issuer_name(cert);
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
    char *serial = number ? BN_bn2dec(number) : NULL;
    bool good = serial && strlen(serial) < sizeof(facts->peer_serial) &&
                write_name(subject, facts->peer_subject, sizeof(facts->peer_subject)) &&
                write_name(issuer, facts->peer_issuer, sizeof(facts->peer_issuer)) &&
                write_common_name(subject, facts->peer_name, sizeof(facts->peer_name));

    if (good)
        memcpy(facts->peer_serial, serial, strlen(serial) + 1);
    OPENSSL_free(serial);
    BN_free(number);
    return good;
}

/* tls-server-end-point (RFC 5929): the server's certificate, hashed as its own signature hashes, but
 * not by MD5 or SHA-1. A signature without a hash (Ed25519) has none: then there is no binding. */
static void bind_channel(const X509 *cert, struct gp_tls_facts *facts)
{
    int hash = NID_undef;
    const EVP_MD *digest;

    if (!X509_get_signature_info((X509 *)cert, &hash, NULL, NULL, NULL) || hash == NID_undef) {
        ERR_clear_error();
        return;
    }
    digest = hash == NID_md5 || hash == NID_sha1 ? EVP_sha256() : EVP_get_digestbynid(hash);
    unsigned len = 0;
    if (digest && X509_digest(cert, digest, facts->binding, &len))
        facts->binding_length = len;
}

enum gp_result gp_tls_describe(struct gp_tls *tls, struct gp_tls_facts *facts)
{
    X509 *peer = SSL_get0_peer_certificate(tls->ssl);
    const X509 *servers = tls->context->server ? SSL_get_certificate(tls->ssl) : peer;
    const unsigned char *alpn;
    unsigned alpn_len = 0;

    memset(facts, 0, sizeof(*facts));
    (void)snprintf(facts->version, sizeof(facts->version), "%s", SSL_get_version(tls->ssl));
    (void)snprintf(facts->cipher, sizeof(facts->cipher), "%s", SSL_get_cipher_name(tls->ssl));
    SSL_get0_alpn_selected(tls->ssl, &alpn, &alpn_len);
    facts->has_alpn = alpn_len > 0;
    facts->resumed = SSL_session_reused(tls->ssl) != 0;
    facts->has_peer = peer != NULL;
    if (servers)
        bind_channel(servers, facts);
    if (peer && !describe_peer(peer, facts)) {
        (void)snprintf(tls->why, sizeof(tls->why), "the certificate's names cannot be used");
        ERR_clear_error();
        return GP_EPROTO;
    }
    return GP_OK;
}
