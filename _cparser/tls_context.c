/* TLS contexts: certificates, keys, authorities, ciphers, tickets. Texts in PEM come from Python;
 * no file is read here.
 *
 * Tickets. All workers must open each other's, so their keys are made of the secret that all were
 * born with, and of the hour: nobody has to be told of a new key, and an old one opens tickets for
 * one more hour. TLS 1.3 alone has tickets, because there the traffic keys do not follow from them;
 * a context that asks for client certificates has none, so that these are looked at every time. */
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tls_internal.h"

#define GP_TICKET_PERIOD_S 3600

/* Mozilla's "intermediate" list; TLS 1.3 suites are OpenSSL's own. */
static const char default_ciphers[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305";
static const char default_groups[] = "X25519:P-256:P-384";
/* The protocol's name in ALPN, with its length before it. */
static const uint8_t protocol[] = "\012postgresql";
#define GP_PROTOCOL_BYTES (sizeof(protocol) - 1)

void gp_tls_explain(char why[GP_TLS_WHY_BYTES], const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    if (what && reason)
        (void)snprintf(why, GP_TLS_WHY_BYTES, "%s: %s", what, reason);
    else
        (void)snprintf(why, GP_TLS_WHY_BYTES, "%s",
                       reason ? reason : (what ? what : "unknown error"));
    ERR_clear_error();
}

static enum gp_result refuse(struct gp_tls_context *context, const char *what)
{
    gp_tls_explain(context->why, what);
    return GP_EPROTO;
}

/* ---- tickets ---- */

struct ticket_key {
    uint8_t name[16], cipher[32], mac[32];
};

static bool ticket_key_derive(const struct gp_tls_context *context, uint64_t period,
                              struct ticket_key *key)
{
    char label[64];
    uint8_t bytes[64], name[32];
    unsigned len = 0;
    int size = snprintf(label, sizeof(label), "greenpool ticket key %llu name",
                        (unsigned long long)period);

    if (!HMAC(EVP_sha256(), context->ticket_secret, sizeof(context->ticket_secret),
              (const uint8_t *)label, (size_t)size, name, &len) ||
        !HMAC(EVP_sha512(), context->ticket_secret, sizeof(context->ticket_secret),
              (const uint8_t *)label, (size_t)size - strlen(" name"), bytes, &len))
        return false;
    memcpy(key->name, name, sizeof(key->name));
    memcpy(key->cipher, bytes, sizeof(key->cipher));
    memcpy(key->mac, bytes + sizeof(key->cipher), sizeof(key->mac));
    return true;
}

static uint64_t ticket_period(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
    return (uint64_t)now.tv_sec / GP_TICKET_PERIOD_S;
}

static bool ticket_mac_init(EVP_MAC_CTX *mac, struct ticket_key *key)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof(key->mac)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_END};

    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* OpenSSL asks for the keys of a ticket. 1: here they are; 2: they are old, make a new ticket; 0:
 * none, go on without; -1: failure. */
static int on_ticket(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int sealing)
{
    const struct gp_tls_context *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    uint64_t period = ticket_period();
    struct ticket_key key;

    if (SSL_version(ssl) < TLS1_3_VERSION)
        return 0;
    if (sealing) {
        if (!ticket_key_derive(context, period, &key) ||
            !EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher, iv) ||
            !ticket_mac_init(mac, &key))
            return -1;
        memcpy(name, key.name, sizeof(key.name));
        return 1;
    }
    for (uint64_t age = 0; age <= 1 && age <= period; age++) {
        if (!ticket_key_derive(context, period - age, &key))
            return -1;
        if (CRYPTO_memcmp(name, key.name, sizeof(key.name)) != 0)
            continue;
        if (!EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher, iv) ||
            !ticket_mac_init(mac, &key))
            return -1;
        return age == 0 ? 1 : 2;
    }
    return 0;
}

void gp_tls_context_tickets(struct gp_tls_context *context, const uint8_t *secret)
{
    memcpy(context->ticket_secret, secret, sizeof(context->ticket_secret));
    SSL_CTX_clear_options(context->ctx, SSL_OP_NO_TICKET);
    (void)SSL_CTX_set_num_tickets(context->ctx, 1);
}

/* ---- the context ---- */

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *arg)
{
    unsigned char *chosen;

    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto(&chosen, out_len, protocol, GP_PROTOCOL_BYTES, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static bool set_up_server(SSL_CTX *ctx)
{
    static const uint8_t session_id_context[] = "greenpool";

    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    (void)SSL_CTX_set_dh_auto(ctx, 1);
    (void)SSL_CTX_set_max_send_fragment(ctx, GP_TLS_SEND_BYTES);
    (void)SSL_CTX_set_num_tickets(ctx, 0);
    (void)SSL_CTX_set_timeout(ctx, GP_TICKET_PERIOD_S);
    return SSL_CTX_set_session_id_context(ctx, session_id_context, sizeof(session_id_context)) &&
           SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
}

static bool set_up(SSL_CTX *ctx, bool server)
{
    /* An own cache would be one worker's. Renegotiation and compression have no use here. */
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_options(ctx,
                              SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
    /* An idle connection keeps no record buffers. */
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY |
                                    SSL_MODE_ENABLE_PARTIAL_WRITE |
                                    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (!SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) ||
        !SSL_CTX_set_cipher_list(ctx, default_ciphers) ||
        !SSL_CTX_set1_groups_list(ctx, default_groups))
        return false;
    if (server)
        return set_up_server(ctx);
    return SSL_CTX_set_alpn_protos(ctx, protocol, GP_PROTOCOL_BYTES) == 0;
}

struct gp_tls_context *gp_tls_context_new(bool server)
{
    struct gp_tls_context *context = calloc(1, sizeof(*context));

    if (!context)
        return NULL;
    context->refs = 1;
    context->server = server;
    context->ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    context->wire = gp_tls_wire_new();
    if (!context->ctx || !context->wire || !set_up(context->ctx, server)) {
        ERR_clear_error();
        gp_tls_context_free(context);
        return NULL;
    }
    SSL_CTX_set_app_data(context->ctx, context);
    return context;
}

struct gp_tls_context *gp_tls_context_share(struct gp_tls_context *context)
{
    atomic_fetch_add_explicit(&context->refs, 1, memory_order_relaxed);
    return context;
}

void gp_tls_context_free(struct gp_tls_context *context)
{
    /* acq_rel: who frees it has seen all that others did with it */
    if (!context || atomic_fetch_sub_explicit(&context->refs, 1, memory_order_acq_rel) != 1)
        return;
    SSL_CTX_free(context->ctx);
    BIO_meth_free(context->wire);
    OPENSSL_cleanse(context->ticket_secret, sizeof(context->ticket_secret));
    free(context);
}

const char *gp_tls_context_why(const struct gp_tls_context *context)
{
    return context->why;
}

/* ---- its parts ---- */

/* Nobody is there to be asked for a passphrase. */
static int no_passphrase(char *buf, int size, int rwflag, void *asked)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    *(bool *)asked = true;
    return -1;
}

static BIO *text_of(const uint8_t *pem, uint32_t length)
{
    return BIO_new_mem_buf(pem, (int)(length < INT32_MAX ? length : INT32_MAX));
}

/* Certificates up to the end of the text; another end than that is an error. */
static bool add_chain(struct gp_tls_context *context, BIO *text)
{
    X509 *cert;

    while ((cert = PEM_read_bio_X509(text, NULL, NULL, NULL)))
        if (!SSL_CTX_add0_chain_cert(context->ctx, cert)) {
            X509_free(cert);
            return false;
        }
    unsigned long error = ERR_peek_last_error();
    if (ERR_GET_LIB(error) != ERR_LIB_PEM || ERR_GET_REASON(error) != PEM_R_NO_START_LINE)
        return false;
    ERR_clear_error();
    return true;
}

enum gp_result gp_tls_context_certificate(struct gp_tls_context *context, const uint8_t *pem,
                                          uint32_t length)
{
    BIO *text = text_of(pem, length);
    X509 *cert = text ? PEM_read_bio_X509_AUX(text, NULL, NULL, NULL) : NULL;
    bool good = cert && SSL_CTX_use_certificate(context->ctx, cert) && add_chain(context, text);

    enum gp_result result = good ? GP_OK : refuse(context, "not a certificate in PEM");
    X509_free(cert);
    BIO_free(text);
    return result;
}

enum gp_result gp_tls_context_key(struct gp_tls_context *context, const uint8_t *pem,
                                  uint32_t length)
{
    bool asked = false;
    BIO *text = text_of(pem, length);
    EVP_PKEY *key = text ? PEM_read_bio_PrivateKey(text, NULL, no_passphrase, &asked) : NULL;
    enum gp_result result = GP_OK;

    if (asked)
        result = refuse(context, "the key is protected by a passphrase");
    else if (!key)
        result = refuse(context, "not a private key in PEM");
    else if (!SSL_CTX_use_PrivateKey(context->ctx, key) || !SSL_CTX_check_private_key(context->ctx))
        result = refuse(context, "the key does not fit the certificate");
    EVP_PKEY_free(key);
    BIO_free(text);
    return result;
}

/* Certificates and revocation lists, in any order. Gives the number of certificates, or -1. */
static int add_authorities(struct gp_tls_context *context, const STACK_OF(X509_INFO) * infos)
{
    X509_STORE *store = SSL_CTX_get_cert_store(context->ctx);
    int certs = 0;

    for (int i = 0; i < sk_X509_INFO_num(infos); i++) {
        const X509_INFO *info = sk_X509_INFO_value(infos, i);
        if (info->x509) {
            certs++;
            if (!X509_STORE_add_cert(store, info->x509) ||
                (context->server && !SSL_CTX_add_client_CA(context->ctx, info->x509)))
                return -1;
        }
        if (info->crl && (!X509_STORE_add_crl(store, info->crl) ||
                          !X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK)))
            return -1;
    }
    return certs;
}

enum gp_result gp_tls_context_authorities(struct gp_tls_context *context, const uint8_t *pem,
                                          uint32_t length)
{
    bool asked = false;
    BIO *text = text_of(pem, length);
    STACK_OF(X509_INFO) *infos =
        text ? PEM_X509_INFO_read_bio(text, NULL, no_passphrase, &asked) : NULL;
    int certs = infos ? add_authorities(context, infos) : -1;
    enum gp_result result = GP_OK;

    if (certs <= 0)
        result = refuse(context, certs == 0 ? "no certificate in PEM" : "not certificates in PEM");
    else /* of a client a certificate is asked for, not demanded: a missing one is told in words */
        SSL_CTX_set_verify(context->ctx, SSL_VERIFY_PEER, NULL);
    ERR_clear_error();
    sk_X509_INFO_pop_free(infos, X509_INFO_free);
    BIO_free(text);
    return result;
}

enum gp_result gp_tls_context_versions(struct gp_tls_context *context, uint32_t least_minor,
                                       const char *ciphers, const char *suites)
{
    int least = least_minor >= 3 ? TLS1_3_VERSION : TLS1_2_VERSION;

    if (!SSL_CTX_set_min_proto_version(context->ctx, least))
        return refuse(context, "no such TLS version");
    if (ciphers && !SSL_CTX_set_cipher_list(context->ctx, ciphers))
        return refuse(context, "no cipher of this list is known");
    if (suites && !SSL_CTX_set_ciphersuites(context->ctx, suites))
        return refuse(context, "not a list of TLS 1.3 suites");
    return GP_OK;
}

bool gp_tls_context_own(struct gp_tls_context *context, struct gp_tls_own *own)
{
    const X509 *cert = SSL_CTX_get0_certificate(context->ctx);
    EVP_PKEY *key = cert ? X509_get0_pubkey(cert) : NULL;
    struct tm begin, end;

    memset(own, 0, sizeof(*own));
    if (!key || !ASN1_TIME_to_tm(X509_get0_notBefore(cert), &begin) ||
        !ASN1_TIME_to_tm(X509_get0_notAfter(cert), &end))
        return false;
    own->not_before_s = (int64_t)timegm(&begin);
    own->not_after_s = (int64_t)timegm(&end);
    own->key_bits = (uint32_t)EVP_PKEY_get_bits(key);
    own->key_is_rsa = EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS");
    return true;
}
