// SPDX-License-Identifier: MIT
// Qt's QProcess.
#include <QCoreApplication>
#include <QFile>
#include <QProcess>
#include <cstdio>
#include <memory>
#include <vector>

static int right, wrong;

static std::unique_ptr<QProcess> start(int status)
{
    auto child = std::make_unique<QProcess>();
    child->start(qEnvironmentVariable("HOST_LEAF"), { QString::number(status) });
    return child;
}

static void judge(QProcess &child, int status)
{
    child.waitForFinished(-1);
    ++(child.exitStatus() == QProcess::NormalExit && child.exitCode() == status ? right : wrong);
}

int main(int argc, char **argv)
{
    QCoreApplication application(argc, argv);
    const QString folder = qEnvironmentVariable("HOST_FOLDER");
    start(0)->waitForFinished(-1);
    QFile(folder + "/ready").open(QIODevice::WriteOnly);
    std::vector<std::unique_ptr<QProcess>> children;
    for (int i = 0; i < 20; i++)
        children.push_back(start(100 + i));
    for (int i = 0; i < 20; i++)
        judge(*children[i], 100 + i);
    while (!QFile::exists(folder + "/done"))
        judge(*start(3), 3);
    std::printf("own %d right, %d wrong\n", right, wrong);
}
