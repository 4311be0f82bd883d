package interop;

import java.security.KeyStore;
import java.security.cert.CertificateException;
import java.security.cert.X509Certificate;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;

/**
 * The JVM's own trust, which tells of certificates that it refuses: two threads of Smack
 * shake hands at the same time, and the reason reaches the one that nobody hears of.
 */
final class Trust implements X509TrustManager {
    private final X509TrustManager jvm;

    private Trust(X509TrustManager jvm) {
        this.jvm = jvm;
    }

    static SSLContext context() throws Exception {
        TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        factory.init((KeyStore) null);
        SSLContext tls = SSLContext.getInstance("TLS");
        tls.init(null, new TrustManager[] {new Trust((X509TrustManager) factory.getTrustManagers()[0])}, null);
        return tls;
    }

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String authType) throws CertificateException {
        try {
            jvm.checkServerTrusted(chain, authType);
        } catch (CertificateException e) {
            Main.tell("untrusted", "error", e.toString());
            throw e;
        }
    }

    @Override
    public void checkClientTrusted(X509Certificate[] chain, String authType) throws CertificateException {
        jvm.checkClientTrusted(chain, authType);
    }

    @Override
    public X509Certificate[] getAcceptedIssuers() {
        return jvm.getAcceptedIssuers();
    }
}
