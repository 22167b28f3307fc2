// Logins with node-postgres: one after the other, as tests/drivers/test_logins.py wants them.
import { readFileSync } from 'node:fs'
import pg from 'pg'

const where = new URL(process.env.GREENPOOL_DSN)

function encryption(authority, certificate, key) {
  if (!authority) return false
  const ssl = { ca: readFileSync(authority) }
  if (certificate) Object.assign(ssl, { cert: readFileSync(certificate), key: readFileSync(key) })
  return ssl
}

async function attempt([, user, password, authority, certificate, key]) {
  const client = new pg.Client({
    host: where.hostname,
    port: Number(where.port),
    database: where.pathname.slice(1),
    user,
    password,
    ssl: encryption(authority, certificate, key),
    enableChannelBinding: true,
  })
  client.on('error', () => {}) // the end of a refused connection may be told twice
  try {
    await client.connect()
    return (await client.query("select 'served' as answer")).rows[0].answer
  } catch (error) {
    return error.message
  } finally {
    await client.end().catch(() => {})
  }
}

for (const line of readFileSync(process.env.GREENPOOL_LOGINS, 'utf8').trimEnd().split('\n')) {
  const login = line.split('\t')
  console.log(`${login[0]}\t${await attempt(login)}`)
}
