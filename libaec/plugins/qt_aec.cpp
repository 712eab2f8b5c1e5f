/* An image plugin for Qt 5, the library by which KDE's and many other programs open pictures.

   A picture that is wanted smaller is decoded at a scale.  Weights are opened once for the process. */

#include "aec.h"
#include "weights_path.h"

#include <QColorSpace>
#include <QFile>
#include <QHash>
#include <QImage>
#include <QImageIOHandler>
#include <QImageIOPlugin>
#include <QMutex>
#include <QMutexLocker>
#include <QThread>
#include <QVariant>

namespace {

const char magic[] = "\x8f" "aec\r\n\n";
const int magicSize = sizeof magic - 1;

struct Opened {
    QMutex mutex;
    QHash<quint64, aec_weights *> weights; /* by id and kind */

    ~Opened()
    {
        for (aec_weights *each : qAsConst(weights))
            aec_weights_free(each);
    }
};

/* The weights of an id, opened once and kept; NULL where there are none. Those for scales alone are opened much faster. */
const aec_weights *openWeights(const quint8 id[4], bool isSmall)
{
    static Opened opened;
    quint32 number;
    memcpy(&number, id, 4);
    quint64 whole = quint64(number) << 1;
    QMutexLocker lock(&opened.mutex);
    if (opened.weights.contains(whole))
        return opened.weights.value(whole);
    if (isSmall && opened.weights.contains(whole | 1))
        return opened.weights.value(whole | 1);
    char path[AEC_PATH_SIZE];
    if (!aec_find_weights(id, path))
        return nullptr;
    QFile file(QFile::decodeName(path));
    const uchar *data = file.open(QIODevice::ReadOnly) ? file.map(0, file.size()) : nullptr;
    aec_weights *weights = nullptr;
    if (data)
        (isSmall ? aec_weights_open_for_scales : aec_weights_open_as)(data, size_t(file.size()), id, &weights);
    if (weights)
        opened.weights.insert(whole | (isSmall ? 1 : 0), weights);
    return weights;
}

QColorSpace colourSpace(const QByteArray &data)
{
    quint8 *profile = nullptr;
    size_t length = 0;
    QColorSpace space(QColorSpace::SRgb);
    const auto *bytes = reinterpret_cast<const quint8 *>(data.constData());
    if (aec_read_metadata(bytes, size_t(data.size()), 'c', &profile, &length).status == AEC_OK && profile)
        space = QColorSpace::fromIccProfile(QByteArray(reinterpret_cast<const char *>(profile), int(length)));
    aec_free(profile);
    return space;
}

class Handler : public QImageIOHandler
{
public:
    bool canRead() const override
    {
        QByteArray start = data.isEmpty() && device() ? device()->peek(magicSize) : data.left(magicSize);
        if (isRead || start != QByteArray(magic, magicSize))
            return false;
        setFormat("aec");
        return true;
    }

    bool read(QImage *image) override
    {
        if (!load())
            return false;
        isRead = true;
        QSize size(int(info.width), int(info.height)), wanted = scaled.isValid() ? scaled : size;
        if (wanted.isEmpty())
            return false;
        int scale = 1;
        while (scale < 16 && size.width() / wanted.width() >= 2 * scale && size.height() / wanted.height() >= 2 * scale)
            scale *= 2;
        *image = decode(scale);
        if (!image->isNull() && image->size() != wanted)
            *image = image->scaled(wanted, Qt::IgnoreAspectRatio, Qt::SmoothTransformation);
        return !image->isNull();
    }

    bool supportsOption(ImageOption option) const override
    {
        return option == Size || option == ScaledSize || option == ImageTransformation || option == ImageFormat;
    }

    QVariant option(ImageOption option) const override
    {
        static const Transformation turns[] = {
            TransformationNone, TransformationMirror, TransformationRotate180, TransformationFlip,
            TransformationFlipAndRotate90, TransformationRotate90, TransformationMirrorAndRotate90, TransformationRotate270};
        if (option == ScaledSize)
            return scaled;
        if (!load())
            return QVariant();
        if (option == Size)
            return QSize(int(info.width), int(info.height));
        if (option == ImageTransformation)
            return int(turns[aec_orientation(bytes(), size_t(data.size())) - 1]);
        return option == ImageFormat ? QVariant(kind()) : QVariant();
    }

    void setOption(ImageOption option, const QVariant &value) override
    {
        if (option == ScaledSize)
            scaled = value.toSize();
    }

private:
    const quint8 *bytes() const { return reinterpret_cast<const quint8 *>(data.constData()); }

    QImage::Format kind() const
    {
        return info.channels == 1   ? QImage::Format_Grayscale8
               : info.channels == 3 ? QImage::Format_RGB888
                                    : QImage::Format_RGBA8888;
    }

    /* Reads the file, once, and its header. */
    bool load() const
    {
        if (data.isEmpty() && device())
            data = device()->readAll();
        return !data.isEmpty() && aec_read_info(bytes(), size_t(data.size()), &info).status == AEC_OK &&
               quint64(info.width) * info.height <= AEC_MAX_PIXELS;
    }

    QImage decode(int scale) const
    {
        const aec_weights *weights = info.lossless ? nullptr : openWeights(info.weights, scale > 1);
        unsigned by = unsigned(scale), width = (info.width + by - 1) / by, height = (info.height + by - 1) / by;
        size_t row = size_t(width) * info.channels;
        QImage image(int(width), int(height), kind());
        auto *samples = static_cast<quint8 *>(malloc(row * height));
        aec_options options = {};
        options.depth = 8;
        options.scale = scale;
        options.parallel = aec_run_threads;
        options.threads = qBound(1, QThread::idealThreadCount(), 8);
        options.context = &options.threads;
        bool isGood = (weights || info.lossless) && samples && !image.isNull() &&
                      aec_decode(weights, bytes(), size_t(data.size()), &options, samples, row * height).status == AEC_OK;
        for (unsigned y = 0; isGood && y < height; y++) {
            uchar *to = image.scanLine(int(y));
            if (info.channels != 2)
                memcpy(to, samples + y * row, row);
            else
                for (unsigned x = 0; x < width; x++) {
                    memset(to + 4 * x, samples[y * row + 2 * x], 3);
                    to[4 * x + 3] = samples[y * row + 2 * x + 1];
                }
        }
        free(samples);
        if (!isGood)
            return QImage();
        image.setColorSpace(colourSpace(data));
        return image;
    }

    mutable QByteArray data;
    mutable aec_info info = {};
    QSize scaled;
    bool isRead = false;
};

} // namespace

class Plugin : public QImageIOPlugin
{
    Q_OBJECT
    Q_PLUGIN_METADATA(IID QImageIOHandlerFactoryInterface_iid FILE "qt_aec.json")

public:
    Capabilities capabilities(QIODevice *device, const QByteArray &format) const override
    {
        if (!format.isEmpty() && format != "aec")
            return {};
        if (device && device->isOpen() && device->isReadable() && device->peek(magicSize) != QByteArray(magic, magicSize))
            return {};
        return device || !format.isEmpty() ? CanRead : Capabilities();
    }

    QImageIOHandler *create(QIODevice *device, const QByteArray &format) const override
    {
        auto *handler = new Handler;
        handler->setDevice(device);
        handler->setFormat(format);
        return handler;
    }
};

#include "qt_aec.moc"
